"use strict";
// Everything shown comes from the JSON in #data and is written as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const {models, metrics, pairs, explorer} = data;
const CONCATENATION = -1, LEVELS = 65535, PAGE = 120;
const $ = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role" || name === "for" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function unpack(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const view = new DataView(bytes.buffer), values = new Uint16Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) values[i] = view.getUint16(2 * i, true);
  return values;
}

const fixed = (value, digits = 3) => (value === null || Number.isNaN(value) ? "–" : value.toFixed(digits).replace("-", "−"));
const short = (value) => fixed(value).replace(/^(−?)0\./, "$1.");
const p = (value) => (value === null ? "–" : String(Number(value.toPrecision(2))));
const layerName = (model, layer) => (layer === CONCATENATION ? "all layers" : `layer ${layer} (${models[model].layers[layer]})`);

const stops = data.heat.map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
function heat(value, low, high) {
  const at = Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * (stops.length - 1), i = Math.min(Math.floor(at), stops.length - 2);
  const rgb = stops[i].map((c, j) => Math.round(c + (stops[i + 1][j] - c) * (at - i)));
  const light = rgb.map((c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4).reduce((s, c, j) => s + c * [.2126, .7152, .0722][j], 0);
  return {fill: `rgb(${rgb})`, ink: light > .18 ? "#000" : "#fff"};
}

function legend(element, low, high, ...more) {
  const ramp = make("span", {className: "ramp"});
  ramp.style.background = `linear-gradient(to right, ${data.heat})`;
  element.replaceChildren(make("span", {}, fixed(low)), ramp, make("span", {}, fixed(high)), ...more.map((text) => make("span", {}, text)));
}

// ---- what is chosen

const byModels = new Map(pairs.map((pair) => [`${pair.metric}:${pair.x}:${pair.y}`, pair]));
function find(a, b, metric = state.metric) {
  const straight = byModels.get(`${metric}:${a}:${b}`);
  if (straight) return {pair: straight, layers: [straight.xl, straight.yl]};
  const swapped = byModels.get(`${metric}:${b}:${a}`);
  return swapped ? {pair: swapped, layers: [swapped.yl, swapped.xl]} : null;
}
const explored = metrics.findIndex((metric) => metric.id === explorer.metric);
const top = pairs.filter((pair) => pair.metric === 0).reduce((a, b) => (b.score > a.score ? b : a));
const state = {metric: 0, x: top.x, y: top.y, sample: 0, chosen: [top.x, top.y], show: PAGE, sort: null};

function choosePair(x, y) {
  Object.assign(state, {x, y, chosen: [x, y]});
  markCell();
  drawPairControls();
  drawLayers();
  drawChips();
  drawSamples();
}

// ---- the matrix of models

const KINDS = {score: "score", corrected: "above chance (0 at chance, 1 at the maximum)"};

function axes() {
  const mine = pairs.filter((pair) => pair.metric === state.metric);
  const order = (values) => [...new Set(values)].sort((a, b) => a - b);
  const [x, y] = [order(mine.map((pair) => pair.x)), order(mine.map((pair) => pair.y))];
  return x.some((one) => y.includes(one)) ? [order([...x, ...y]), order([...x, ...y])] : [x, y];
}

function drawMatrix() {
  const kind = $("shown").value, value = (found) => (found ? found.pair[kind] : null);
  let [rows, columns] = axes();
  if (state.sort) {
    const {axis, model, down} = state.sort;
    const by = (line) => (a, b) => {
      const [u, v] = [a, b].map((one) => value(axis === "row" ? find(model, one) : find(one, model)) ?? -Infinity);
      return (down ? v - u : u - v) || a - b;
    };
    if (axis === "row") columns = [...columns].sort(by());
    else rows = [...rows].sort(by());
  }
  const values = pairs.filter((pair) => pair.metric === state.metric).map((pair) => pair[kind]).filter((one) => one !== null);
  const low = Math.min(0, ...values), high = Math.max(...values);
  const header = (model, axis) => {
    const sorted = state.sort && state.sort.axis === axis && state.sort.model === model;
    const th = make("th", {scope: axis === "row" ? "row" : "col"}, make("button", {type: "button", title: `sort by ${models[model].name}`, onclick: () => {
      state.sort = {axis, model, down: !(sorted && state.sort.down)};
      drawMatrix();
      [...$("matrix-table").querySelectorAll("th[aria-sort] button")].at(0)?.focus();
    }}, models[model].name));
    if (sorted) th.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
    return th;
  };
  const cell = (row, column) => {
    const found = find(row, column), shown = value(found), td = make("td", {tabIndex: -1, role: "gridcell"}, shown === null ? "" : short(shown));
    td.dataset.row = row;
    td.dataset.column = column;
    if (shown === null) td.className = "none";
    else {
      const {fill, ink} = heat(shown, low, high);
      Object.assign(td.style, {background: fill, color: ink});
      if (found.pair.p_family !== null && found.pair.p_family >= .05) td.className = "chance";
      td.onclick = () => choosePair(found.pair.x, found.pair.y);
    }
    td.onmouseenter = td.onfocus = () => describe(found);
    return td;
  };
  $("matrix-table").setAttribute("role", "grid");
  $("matrix-table").replaceChildren(
    make("thead", {}, make("tr", {}, make("td"), ...columns.map((model) => header(model, "column")))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, header(row, "row"), ...columns.map((column) => cell(row, column))))),
  );
  const chance = pairs.some((pair) => pair.metric === state.metric && pair.p_family !== null && pair.p_family >= .05);
  legend($("matrix-legend"), low, high, ...(chance ? ["° does not differ from chance (corrected p ≥ .05)"] : []));
  markCell();
}

function describe(found) {
  if (!found) return void ($("matrix-said").textContent = "not compared");
  const pair = found.pair, parts = [`${models[pair.x].name} × ${models[pair.y].name}: ${fixed(pair.score)}`];
  if (pair.low !== null) parts.push(`interval ${fixed(pair.low)} to ${fixed(pair.high)}`);
  if (pair.null_mean !== null) parts.push(`chance ${fixed(pair.null_mean)}`);
  if (pair.p_family !== null) parts.push(`corrected p ${p(pair.p_family)}`);
  parts.push(`${layerName(pair.x, pair.xl)} with ${layerName(pair.y, pair.yl)}`);
  $("matrix-said").textContent = parts.join(" · ");
}

function markCell() {
  const cells = [...$("matrix-table").querySelectorAll("tbody td")];
  const mine = (td) => [[state.x, state.y], [state.y, state.x]].some(([a, b]) => +td.dataset.row === a && +td.dataset.column === b);
  for (const td of cells) {
    td.setAttribute("aria-selected", mine(td));
    td.tabIndex = -1;
  }
  const focus = cells.find(mine) ?? cells[0];
  if (focus) focus.tabIndex = 0;
  describe(find(state.x, state.y));
}

$("matrix-table").addEventListener("keydown", (event) => {
  const td = event.target.closest("tbody td");
  if (!td) return;
  const line = td.parentElement, step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
  if (event.key === "Enter" || event.key === " ") td.click();
  else if (step) {
    const target = line.parentElement.rows[line.rowIndex - 1 + step[0]]?.cells[td.cellIndex + step[1]];
    if (target?.tagName === "TD") {
      td.tabIndex = -1;
      target.tabIndex = 0;
      target.focus();
    }
  } else return;
  event.preventDefault();
});

// ---- the map of layers

const map = {cells: null, at: null};

function drawPairControls() {
  const [rows, columns] = axes();
  const fill = (select, list, chosen) => {
    select.replaceChildren(...list.map((i) => make("option", {value: i}, models[i].name)));
    select.value = chosen;
  };
  const straight = rows.includes(state.x) && find(state.x, state.y);
  fill($("pair-x"), rows, straight ? state.x : state.y);
  fill($("pair-y"), columns.filter((one) => find(+$("pair-x").value, one)), straight ? state.y : state.x);
}
$("pair-x").onchange = () => {
  const x = +$("pair-x").value, y = find(x, +$("pair-y").value) ? +$("pair-y").value : axes()[1].find((one) => find(x, one));
  const {pair} = find(x, y);
  choosePair(pair.x, pair.y);
};
$("pair-y").onchange = () => {
  const {pair} = find(+$("pair-x").value, +$("pair-y").value);
  choosePair(pair.x, pair.y);
};

function drawLayers() {
  const found = find(state.x, state.y), canvas = $("layer-map");
  if (!found || !found.pair.grid) return;
  const {pair} = found, metric = metrics[pair.metric], {rows, columns} = pair, levels = unpack(pair.grid);
  const score = (i, j) => {
    const level = levels[i * columns.length + j];
    return level === 0 ? null : metric.low + (level - 1) / (LEVELS - 1) * (metric.high - metric.low);
  };
  const all = [...levels.keys()].map((i) => score(Math.floor(i / columns.length), i % columns.length)).filter((one) => one !== null);
  const low = Math.min(0, ...all), high = Math.max(...all);
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name);
  const room = Math.min(canvas.parentElement.clientWidth, 900), left = 54, bottom = 46, gap = 6;
  const wide = Math.max(4, Math.min(46, (room - left - 16) / columns.length)), high_ = Math.max(7, Math.min(26, 420 / rows.length));
  const width = left + wide * columns.length + gap + 10, height = high_ * rows.length + gap + bottom + 6, dots = window.devicePixelRatio || 1;
  Object.assign(canvas, {width: width * dots, height: height * dots});
  Object.assign(canvas.style, {width: `${width}px`, height: `${height}px`});
  const pen = canvas.getContext("2d");
  pen.scale(dots, dots);
  pen.font = "11px system-ui, sans-serif";
  // depth grows up and to the right; the concatenation stands apart, above and to the right
  const place = (i, j) => ({
    x: left + wide * j + (columns[j] === CONCATENATION && columns.length > 1 ? gap : 0),
    y: 4 + high_ * (rows.length - 1 - i) + (rows[i] === CONCATENATION && rows.length > 1 ? 0 : rows.includes(CONCATENATION) ? gap : 0),
  });
  rows.forEach((_, i) => columns.forEach((_, j) => {
    const value = score(i, j), {x, y} = place(i, j);
    if (value === null) return;
    const {fill, ink} = heat(value, low, high);
    pen.fillStyle = fill;
    pen.fillRect(x, y, Math.max(wide - (wide > 8 ? 1 : 0), 1), Math.max(high_ - (high_ > 8 ? 1 : 0), 1));
    if (wide >= 30 && high_ >= 13) {
      Object.assign(pen, {fillStyle: ink, textAlign: "center", textBaseline: "middle"});
      pen.fillText(short(value), x + wide / 2, y + high_ / 2);
    }
  }));
  const frame = (i, j, line, inner) => {
    const {x, y} = place(i, j);
    for (const [style, size] of [[line, 4], [inner, 2]]) {
      Object.assign(pen, {strokeStyle: style, lineWidth: size});
      pen.strokeRect(x, y, wide - 1, high_ - 1);
    }
  };
  if (map.at) frame(...map.at, colour("--ink"), colour("--accent"));
  const best = [rows.indexOf(pair.xl), columns.indexOf(pair.yl)];
  if (best[0] >= 0 && best[1] >= 0) frame(...best, "#000", "#fff");
  Object.assign(pen, {fillStyle: colour("--muted"), textBaseline: "middle", textAlign: "right"});
  const name = (layer) => (layer === CONCATENATION ? "all" : String(layer)), skip = (size, count, least) => Math.ceil(least * 1 / size) || 1;
  rows.forEach((layer, i) => (layer === CONCATENATION || i % skip(high_, rows.length, 13) === 0) && pen.fillText(name(layer), left - 6, place(i, 0).y + high_ / 2));
  pen.textAlign = "center";
  columns.forEach((layer, j) => (layer === CONCATENATION || j % skip(wide, columns.length, 22) === 0) && pen.fillText(name(layer), place(0, j).x + wide / 2, height - bottom + 10));
  pen.fillStyle = colour("--ink");
  pen.textAlign = "left";
  pen.fillText(`layer of ${models[pair.y].name}`, left, height - 12);
  pen.save();
  pen.translate(10, height - bottom - 4);
  pen.rotate(-Math.PI / 2);
  pen.fillText(`layer of ${models[pair.x].name}`, 0, 0);
  pen.restore();
  Object.assign(map, {cells: {rows, columns, place, score, wide, high: high_, pair}, best});
  canvas.setAttribute("aria-label", `Layers of ${models[pair.x].name} and ${models[pair.y].name}, ${rows.length} by ${columns.length}; arrow keys read them`);
  legend($("layer-legend"), low, high);
  sayLayer();
}

function sayLayer() {
  const {rows, columns, score, pair} = map.cells, [i, j] = map.at ?? map.best;
  if (i < 0 || j < 0) return;
  $("layer-said").textContent = `${map.at ? "" : "Chosen: "}${models[pair.x].name}, ${layerName(pair.x, rows[i])} × ${models[pair.y].name}, ${layerName(pair.y, columns[j])}: ${fixed(score(i, j))}`;
}

function pointAt(at) {
  map.at = at;
  drawLayers();
}
$("layer-map").addEventListener("mousemove", (event) => {
  const {rows, columns, place, wide, high} = map.cells;
  for (let i = 0; i < rows.length; i++) for (let j = 0; j < columns.length; j++) {
    const {x, y} = place(i, j);
    if (event.offsetX >= x && event.offsetX < x + wide && event.offsetY >= y && event.offsetY < y + high) return void (String(map.at) === String([i, j]) || pointAt([i, j]));
  }
});
$("layer-map").addEventListener("mouseleave", () => pointAt(null));
$("layer-map").addEventListener("blur", () => pointAt(null));
$("layer-map").addEventListener("keydown", (event) => {
  const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0]}[event.key];
  if (!step) return;
  event.preventDefault();
  const {rows, columns} = map.cells, [i, j] = map.at ?? map.best;
  pointAt([Math.min(rows.length - 1, Math.max(0, i + step[0])), Math.min(columns.length - 1, Math.max(0, j + step[1]))]);
});

// ---- the explorer

const graphs = new Map();
function graph(model, layer) {
  const key = `${model}:${layer}`;
  if (!graphs.has(key)) graphs.set(key, unpack(explorer.graphs[models[model].name][layer]));
  return graphs.get(key);
}

function layerOf(model) {
  const last = models[model].layers.length - 1;
  if ($("layer-rule").value === "last") return {layer: last, why: "last"};
  for (const partner of [state.y, state.x]) {
    const found = partner === model ? null : find(model, partner, explored);
    if (found) return {layer: found.layers[0], why: `as chosen with ${models[partner].name}`};
  }
  return {layer: last, why: "last"};
}

function near(model, sample = state.sample) {
  const {k} = explorer, all = graph(model, layerOf(model).layer);
  return [...all.subarray(sample * k, (sample + 1) * k)];
}

function shared(a, b, sample) {
  const other = new Set(near(b, sample));
  return near(a, sample).filter((one) => other.has(one)).length;
}

const picture = (sample) => make("img", {src: `data:image/webp;base64,${explorer.pictures[sample]}`, alt: "", decoding: "async", draggable: false});
const caption = (sample) => explorer.captions[sample][0];

function found() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), order = $("order").value;
  let list = [...explorer.ids.keys()].filter((i) => {
    const text = [explorer.ids[i], explorer.categories?.[i] ?? "", ...explorer.captions[i]].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const counts = new Map();
  if (order !== "own" && state.chosen.length > 1) {
    for (const i of list) counts.set(i, shared(state.chosen[0], state.chosen[1], i));
    list = list.sort((a, b) => (order === "most" ? counts.get(b) - counts.get(a) : counts.get(a) - counts.get(b)) || a - b);
  }
  return {list, counts};
}

function drawSamples() {
  const {list, counts} = found(), box = $("samples");
  $("found").textContent = `${list.length} of ${explorer.ids.length} samples`;
  box.replaceChildren(...list.slice(0, state.show).map((sample) => {
    const option = make("div", {role: "option", tabIndex: -1, title: caption(sample), "aria-label": caption(sample)}, picture(sample));
    option.dataset.sample = sample;
    option.onclick = () => chooseSample(sample);
    if (counts.has(sample)) option.append(make("span", {className: "count"}, `${counts.get(sample)}/${explorer.k}`));
    return option;
  }));
  $("more").hidden = list.length <= state.show;
  drawSample();
}

function chooseSample(sample) {
  state.sample = sample;
  drawSample();
}

function drawSample() {
  const sample = state.sample, options = [...$("samples").children];
  for (const option of options) {
    const mine = +option.dataset.sample === sample;
    option.setAttribute("aria-selected", mine);
    option.tabIndex = mine ? 0 : -1;
  }
  if (options.length && !options.some((option) => option.tabIndex === 0)) options[0].tabIndex = 0;
  $("picture").src = `data:image/webp;base64,${explorer.pictures[sample]}`;
  $("picture").alt = caption(sample);
  $("caption").textContent = caption(sample);
  const more = explorer.captions[sample].slice(1);
  $("about").textContent = [explorer.categories?.[sample], explorer.ids[sample], ...more].filter(Boolean).join(" · ");
  drawNeighbours();
}

function drawNeighbours() {
  const lists = state.chosen.map((model) => near(model)), counts = new Map();
  for (const one of lists.flat()) counts.set(one, (counts.get(one) ?? 0) + 1);
  const many = state.chosen.length;
  $("neighbours").replaceChildren(...state.chosen.map((model, i) => {
    const {layer, why} = layerOf(model);
    return make("section", {className: "column"},
      make("h4", {}, models[model].name), make("p", {}, `${layerName(model, layer)}, ${why}`),
      make("ol", {}, ...lists[i].map((one, rank) => {
        const times = counts.get(one), text = make("span", {className: "text"}, caption(one));
        if (times > 1) text.prepend(make("span", {className: "badge"}, many === 2 ? "◆ shared" : `◆ shared by ${times} of ${many}`));
        const button = make("button", {type: "button", className: `near${times > 1 ? " shared" : ""}`, title: caption(one), onclick: () => chooseSample(one)},
          make("span", {className: "rank"}, String(rank + 1)), make("span", {className: "frame"}, picture(one)), text);
        button.dataset.sample = one;
        return make("li", {}, button);
      })));
  }));
  sayAgreement();
}

function sayAgreement() {
  const parts = [], {k} = explorer, n = explorer.ids.length;
  for (let i = 0; i < state.chosen.length; i++) for (let j = i + 1; j < state.chosen.length; j++) {
    const [a, b] = [state.chosen[i], state.chosen[j]];
    let total = 0;
    for (let sample = 0; sample < n; sample++) total += shared(a, b, sample);
    parts.push(`${models[a].name} and ${models[b].name} share ${shared(a, b, state.sample)} of ${k} (mean over samples ${fixed(total / n / k)})`);
  }
  if (parts.length) parts.push(`chance ${fixed(k / (n - 1))}`);
  $("agreement").textContent = parts.join("; ");
}

function drawChips() {
  const groups = new Map();
  models.forEach((model, i) => groups.set(model.modality, [...(groups.get(model.modality) ?? []), i]));
  const chip = (i) => {
    const box = make("input", {type: "checkbox", checked: state.chosen.includes(i), onchange: () => {
      state.chosen = box.checked ? [...state.chosen, i] : state.chosen.filter((one) => one !== i);
      drawSamples();
    }});
    return make("label", {}, box, models[i].name);
  };
  const made = [...groups].map(([modality, members]) => make("div", {className: "group"}, make("span", {}, modality), ...members.map(chip)));
  $("chips").replaceChildren($("chips").querySelector("legend"), ...made);
}

for (const name of ["mouseover", "focusin", "mouseout", "focusout"]) $("neighbours").addEventListener(name, (event) => {
  const sample = name.endsWith("out") || name === "mouseout" ? null : event.target.closest(".near")?.dataset.sample;
  for (const one of $("neighbours").querySelectorAll(".near")) one.classList.toggle("same", one.dataset.sample === sample && one !== event.target.closest(".near"));
});

$("samples").addEventListener("keydown", (event) => {
  const options = [...$("samples").children], at = options.indexOf(event.target.closest("[role=option]"));
  if (at < 0) return;
  const across = options.filter((one) => one.offsetTop === options[0].offsetTop).length;
  const to = {ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - across, ArrowDown: at + across, Home: 0, End: options.length - 1}[event.key];
  if (to === undefined) return;
  event.preventDefault();
  if (!options[to]) return;
  chooseSample(+options[to].dataset.sample);
  options[to].focus();
});

function step(by) {
  const {list} = found(), at = list.indexOf(state.sample);
  if (list.length) chooseSample(list[(at + by + list.length) % list.length]);
  $("samples").querySelector("[aria-selected=true]")?.scrollIntoView({block: "nearest"});
}
$("previous").onclick = () => step(-1);
$("next").onclick = () => step(1);
$("random").onclick = () => chooseSample(Math.floor(Math.random() * explorer.ids.length));
$("more").onclick = () => { state.show += PAGE; drawSamples(); };
$("search").oninput = $("order").onchange = () => {
  state.show = PAGE;
  const {list} = found();
  if (list.length && !list.includes(state.sample)) state.sample = list[0];
  drawSamples();
};
$("layer-rule").onchange = drawSamples;

// ---- the table of statistics

for (const [column, button] of [...$("statistics-table").querySelectorAll("thead button")].entries()) button.onclick = () => {
  const th = button.parentElement, down = th.getAttribute("aria-sort") !== "descending", body = $("statistics-table").tBodies[0];
  for (const other of th.parentElement.cells) other.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const text = (row) => row.cells[column].textContent.trim(), value = (row) => {
    const one = parseFloat(text(row).replace("−", "-"));
    return Number.isNaN(one) ? -Infinity : one;
  };
  const compare = button.dataset.kind === "n" ? (a, b) => value(a) - value(b) : (a, b) => text(a).localeCompare(text(b));
  body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * compare(a, b)));
};

// ---- start

const hasCorrected = pairs.some((pair) => pair.corrected !== null);
$("shown").replaceChildren(...Object.entries(KINDS).filter(([kind]) => kind === "score" || hasCorrected).map(([kind, text]) => make("option", {value: kind}, text)));
$("shown").onchange = drawMatrix;
$("metric").onchange = () => {
  Object.assign(state, {metric: +$("metric").value, sort: null});
  drawMatrix();
  drawPairControls();
  drawLayers();
};
$("unsort").onclick = () => { state.sort = null; drawMatrix(); };
if (explorer.ids.length < explorer.total) {
  $("explorer-part").hidden = false;
  $("explorer-part").textContent = `Shown are the first ${explorer.ids.length} of ${explorer.total} samples, and neighbours among these.`;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLayers);
addEventListener("resize", drawLayers);
drawMatrix();
choosePair(state.x, state.y);

// The map of layers of the chosen pair, on a canvas: depth grows up and to the right, and the concatenation stands apart.

const LEFT = 34, TOP = 24, BOTTOM = 40, GAP = 6;
let map = null, at = null; // what is drawn, and the cell under the pointer or the arrow keys, as [row, column]

function drawPairControls() {
  const [rows, columns] = axes(), straight = rows.includes(state.x) && columns.includes(state.y);
  const fill = (select, list, chosen) => {
    select.replaceChildren(...list.map((i) => make("option", {value: i}, models[i].name)));
    select.value = chosen;
  };
  fill($("pair-x"), rows, straight ? state.x : state.y);
  fill($("pair-y"), columns.filter((one) => find(+$("pair-x").value, one)), straight ? state.y : state.x);
}

function choosePairByControls() {
  const x = +$("pair-x").value, y = +$("pair-y").value, partner = find(x, y) ? y : axes()[1].find((one) => find(x, one));
  const {pair} = find(x, partner);
  choosePair(pair.x, pair.y);
}
$("pair-x").onchange = $("pair-y").onchange = choosePairByControls;

function layout(pair, room) {
  const {rows, columns} = pair, wide = Math.max(4, Math.min(46, (room - LEFT - GAP - 4) / columns.length)), high = Math.max(7, Math.min(26, 440 / rows.length));
  const apart = (line) => (line.length > 1 && line.at(-1) === CONCATENATION ? GAP : 0);
  return {
    rows, columns, wide, high,
    width: LEFT + wide * columns.length + GAP + 4,
    height: TOP + high * rows.length + GAP + BOTTOM,
    corner: (i, j) => [
      LEFT + wide * j + (columns[j] === CONCATENATION ? apart(columns) : 0),
      TOP + high * (rows.length - 1 - i) + (rows[i] === CONCATENATION ? 0 : apart(rows)),
    ],
  };
}

function readScores(pair) {
  const {low, high} = metrics[pair.metric], levels = unpack(pair.grid);
  return [...levels].map((level) => (level === 0 ? null : low + (level - 1) / (LEVELS - 1) * (high - low)));
}

function drawLayers() {
  const canvas = $("layer-map"), {pair} = find(state.x, state.y);
  if (!pair.grid) return;
  const scores = readScores(pair), drawn = layout(pair, Math.min(canvas.parentElement.clientWidth, 900)), {rows, columns, wide, high} = drawn;
  const known = scores.filter((one) => one !== null), low = Math.min(0, ...known), top = Math.max(...known);
  map = {...drawn, pair, score: (i, j) => scores[i * columns.length + j], best: [rows.indexOf(pair.xl), columns.indexOf(pair.yl)]};

  const pen = canvas.getContext("2d"), dots = window.devicePixelRatio || 1, names = [`↑ layer of ${models[pair.x].name}`, `layer of ${models[pair.y].name} →`];
  pen.font = FONT;
  const width = Math.max(drawn.width, LEFT + Math.max(...names.map((one) => pen.measureText(one).width)));
  Object.assign(canvas, {width: width * dots, height: drawn.height * dots});
  Object.assign(canvas.style, {width: `${width}px`, height: `${drawn.height}px`});
  pen.scale(dots, dots);
  const write = (text, x, y, fill, align) => {
    Object.assign(pen, {font: FONT, fillStyle: fill, textAlign: align, textBaseline: "middle"});
    pen.fillText(text, x, y);
  };
  rows.forEach((_, i) => columns.forEach((_, j) => {
    const value = map.score(i, j), [x, y] = drawn.corner(i, j);
    if (value === null) return;
    const {fill, ink} = heat(value, low, top);
    pen.fillStyle = fill;
    pen.fillRect(x, y, wide - (wide > 8), high - (high > 8));
    if (wide >= 34 && high >= 15) write(short(value), x + wide / 2, y + high / 2, ink, "center");
  }));
  const style = getComputedStyle(document.documentElement), muted = style.getPropertyValue("--muted"), ink = style.getPropertyValue("--ink");
  const frame = ([i, j], outer, inner) => {
    if (i < 0 || j < 0) return;
    for (const [line, size] of [[outer, 4], [inner, 2]]) {
      Object.assign(pen, {strokeStyle: line, lineWidth: size});
      pen.strokeRect(...drawn.corner(i, j), wide - 1, high - 1);
    }
  };
  frame(map.best, "#000", "#fff");
  if (at) frame(at, ink, style.getPropertyValue("--accent"));
  const named = (layer, place, size, least) => layer === CONCATENATION || place % Math.ceil(least / size) === 0;
  const name = (layer) => (layer === CONCATENATION ? "all" : String(layer));
  rows.forEach((layer, i) => named(layer, i, high, 14) && write(name(layer), LEFT - 6, drawn.corner(i, 0)[1] + high / 2, muted, "right"));
  columns.forEach((layer, j) => named(layer, j, wide, 24) && write(name(layer), drawn.corner(0, j)[0] + wide / 2, drawn.height - BOTTOM + 12, muted, "center"));
  write(names[0], 0, 9, ink, "left");
  write(names[1], LEFT, drawn.height - 9, ink, "left");
  canvas.setAttribute("aria-label", `Scores of ${rows.length} by ${columns.length} layers of ${models[pair.x].name} and ${models[pair.y].name}; arrow keys read them`);
  legend($("layer-legend"), low, top);
  sayLayer();
}

function sayLayer() {
  const {pair, rows, columns, score, best} = map, [i, j] = at ?? best;
  if (i < 0 || j < 0) return;
  const [x, y] = [`${models[pair.x].name}, ${layerName(pair.x, rows[i])}`, `${models[pair.y].name}, ${layerName(pair.y, columns[j])}`];
  const cell = fixed(score(i, j)), own = fixed(pair.score); // a held-out score is of halves of the samples, a cell of all
  const value = at || own === cell ? cell : `${own}; on all samples ${cell}`;
  $("layer-said").textContent = `${at ? "" : "Chosen: "}${x} × ${y}: ${value}`;
}

function pointAt(cell) {
  if (String(cell) === String(at)) return;
  at = cell;
  drawLayers();
}

$("layer-map").addEventListener("mousemove", ({offsetX, offsetY}) => {
  const within = (place, corner, size) => place >= corner && place < corner + size;
  const i = map.rows.findIndex((_, i) => within(offsetY, map.corner(i, 0)[1], map.high));
  const j = map.columns.findIndex((_, j) => within(offsetX, map.corner(0, j)[0], map.wide));
  if (i >= 0 && j >= 0) pointAt([i, j]);
});
for (const name of ["mouseleave", "blur"]) $("layer-map").addEventListener(name, () => pointAt(null));
$("layer-map").addEventListener("keydown", (event) => {
  const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0]}[event.key];
  if (!step) return;
  event.preventDefault();
  const [i, j] = at ?? map.best, within = (value, line) => Math.min(line.length - 1, Math.max(0, value));
  pointAt([within(i + step[0], map.rows), within(j + step[1], map.columns)]);
});

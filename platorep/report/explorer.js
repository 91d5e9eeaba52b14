// The explorer: samples to pick from, and their neighbours in each chosen model.

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
  $("sound").hidden = !explorer.sounds;
  if (explorer.sounds) $("sound").src = `data:audio/mpeg;base64,${explorer.sounds[sample]}`;
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
        if (times > 1) text.prepend(make("span", {className: "badge"}, many === 2 ? "◆ shared" : times === many ? `◆ shared by all ${many}` : `◆ shared by ${times} of ${many}`));
        const button = make("button", {type: "button", className: `near${times > 1 ? " shared" : ""}${times === many && many > 2 ? " all" : ""}`, title: caption(one), onclick: () => chooseSample(one)},
          make("span", {className: "rank"}, String(rank + 1)), make("span", {className: "frame"}, picture(one)), text);
        button.dataset.sample = one;
        return make("li", {}, button);
      })));
  }));
  sayAgreement();
}

// mutual k-NN of two models at the layers shown: the mean over samples of the share of neighbours in common
const means = new Map();
function meanShared(a, b) {
  const key = [a, layerOf(a).layer, b, layerOf(b).layer].join();
  if (!means.has(key)) {
    const total = explorer.ids.reduce((sum, _, sample) => sum + shared(a, b, sample), 0);
    means.set(key, total / explorer.ids.length / explorer.k);
  }
  return means.get(key);
}

function sayAgreement() {
  const parts = [], {k} = explorer, n = explorer.ids.length;
  for (let i = 0; i < state.chosen.length; i++) for (let j = i + 1; j < state.chosen.length; j++) {
    const [a, b] = [state.chosen[i], state.chosen[j]];
    parts.push(`${models[a].name} and ${models[b].name} share ${shared(a, b, state.sample)} of ${k} · mean over samples ${fixed(meanShared(a, b))}, chance ${fixed(k / (n - 1))}`);
  }
  $("agreement").textContent = parts.join("\n");
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

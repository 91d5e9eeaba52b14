// The page's data and what all parts share. The files are joined in order into one module.
// Everything shown comes from the JSON in #data and is written as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const {models, metrics, pairs, explorer} = data;
const FONT = "12px system-ui, sans-serif", CONCATENATION = -1, LEVELS = 65535, PAGE = 120;
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

const byModels = new Map(pairs.map((pair) => [`${pair.metric}:${pair.x}:${pair.y}`, pair]));
function find(a, b, metric = state.metric) {
  const straight = byModels.get(`${metric}:${a}:${b}`);
  if (straight) return {pair: straight, layers: [straight.xl, straight.yl]};
  const swapped = byModels.get(`${metric}:${b}:${a}`);
  return swapped ? {pair: swapped, layers: [swapped.yl, swapped.xl]} : null;
}
const explored = metrics.findIndex((metric) => metric.id === explorer.metric);
const best = pairs.filter((pair) => pair.metric === 0).reduce((a, b) => (b.score > a.score ? b : a));
const state = {metric: 0, x: best.x, y: best.y, sample: 0, chosen: [best.x, best.y], show: PAGE, sort: null};

function choosePair(x, y) {
  Object.assign(state, {x, y, chosen: [x, y]});
  at = null;
  markCell();
  drawPairControls();
  drawLayers();
  drawChips();
  drawSamples();
}

// The matrix of models: sorting, details of the cell under the pointer or the focus, choice of a pair.

const KINDS = {score: "score", corrected: "above chance"};

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

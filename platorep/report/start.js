// The table of statistics, and the first drawing.

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
for (const media of ["(prefers-color-scheme: dark)", "print"]) matchMedia(media).addEventListener("change", drawLayers);
addEventListener("resize", drawLayers);
drawMatrix();
choosePair(state.x, state.y);

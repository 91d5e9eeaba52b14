// Matched units side by side, each with the samples that activate it most.

function unitCard(member) {
  const numbers = member.score === null ? "reference" : `ρ ${fixed(member.score, 2)}${member.excess === null ? "" : `, above a rotated basis ${fixed(member.excess, 2)}`}`;
  const pictures = member.samples.map((sample) => {
    const button = make("button", {type: "button", className: "top", title: caption(sample), "aria-label": caption(sample), onclick: () => {
      chooseSample(sample);
      $("explorer").scrollIntoView();
    }}, picture(sample));
    button.dataset.sample = sample;
    return button;
  });
  return make("div", {className: "unit"},
    make("h4", {}, models[member.model].name), make("p", {}, `${layerName(member.model, member.layer)}, unit ${member.unit}`),
    make("p", {}, numbers), make("div", {className: "tops"}, ...pictures));
}

document.querySelector(".unit-sets")?.replaceChildren(...data.units.map((set) => make("li", {}, ...set.members.map(unitCard))));

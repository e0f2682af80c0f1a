// What is said of each search under a choice: a panel of its own, and its place in a study's table of verdicts.
const Answers = (() => {
  const { make } = Drawn;
  const { number, mass } = Words;
  const ends = ([low, high], words) => `(95 % interval ${words(low)} to ${words(high)})`;
  const places = () => [...document.querySelectorAll("[data-cell]")];

  function panel(cell, choice, words, named) {
    const found = Payback.judge(cell, choice, words);
    const told = make("div", { class: "verdict", "data-outcome": found.outcome });
    if (named) told.append(make("h3", {}, cell.name));
    told.append(make("p", { class: "again" }, found.headline));
    if (found.netG === undefined) return told;
    const rows = [["To earn back", `${mass(found.netG)} CO2e`, found.net[0] < found.net[1] ? `(${mass(found.net[0])} to ${mass(found.net[1])})` : ""]];
    rows.push(found.uses === null
      ? ["Break-even", found.outcome, ""]
      : ["Break-even", `${number(found.uses)} uses`, ends(found.ends, number)]);
    if (found.after) {
      const paid = found.after.central < 0 ? "paid back" : "not paid back";
      rows.push([`Net after ${number(choice.uses)} uses`, `${mass(found.after.central)} CO2e`, `${ends(found.after.ends, mass)}; ${paid}`]);
    }
    told.append(make("dl", {}, ...rows.map(([name, value, detail]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), detail ? make("span", {}, ` ${detail}`) : "")))));
    return told;
  }

  // The break-evens in the table, as reports/study_tables.py writes them; those without a verdict stay as they are.
  function table(cells, choice, words) {
    for (const place of places()) {
      const found = Payback.judge(cells[place.dataset.cell], choice, words);
      if (found.outcome === "unknown") continue;
      const known = found.uses !== null;
      const more = known ? `${number(found.ends[0])} to ${number(found.ends[1])}` : found.reason;
      place.querySelector(".value").textContent = known ? number(found.uses) : found.outcome;
      place.querySelectorAll(".more").forEach((one) => one.remove());
      if (more) place.append(make("span", { class: "more" }, more));
      const badge = place.querySelector(".badge");
      if (badge) badge.style.display = known ? "" : "none";
    }
  }

  function what(several) {
    const again = several ? "the answers are computed again from these runs' energies" : "the answer is computed again from this run's energies";
    const kept = places().length
      ? "The break-evens in the table of verdicts follow; headline, figures and all other tables keep"
      : "Headline, figures and tables of the page keep";
    return `${again}. ${kept} the report's own choice.`;
  }

  return { panel, table, what };
})();

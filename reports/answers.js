// What is said of each search under a choice: a panel of its own, and its place in a study's table of verdicts.
const Answers = (() => {
  const { make } = Drawn;
  const { number, mass, massRange } = Words;
  const badge = (data) => make("span", { class: "badge" }, data.provenance);
  const places = () => [...document.querySelectorAll("[data-cell]")];

  // Whether so many uses have paid back: only an interval on one side of zero can tell.
  const paidWords = ([low, high]) => (high < 0 ? "paid back" : low > 0 ? "not paid back" : "cannot be told whether it has paid back");

  function panel(cell, choice, data, named) {
    const found = Payback.judge(cell, choice, data.words);
    const told = make("div", { class: "verdict", "data-outcome": found.outcome });
    if (named) told.append(make("h3", {}, cell.name));
    told.append(make("p", { class: "again" }, found.headline));
    if (found.netG === undefined) return told;
    const rows = [["To earn back", `${mass(found.netG)} CO2e`, found.net[0] < found.net[1] ? `(${massRange(found.net)})` : ""]];
    if (found.uses === null) rows.push(["Break-even", found.outcome, ""]);
    else if (Payback.atOnce(found)) rows.push(["Break-even", data.words.first_use, ""]);
    else rows.push(["Break-even", `${number(found.uses)} uses`, `(95 % interval ${number(found.ends[0])} to ${number(found.ends[1])})`]);
    if (found.after) {
      const interval = `(95 % interval ${massRange(found.after.ends)})`;
      rows.push([`Net after ${number(choice.uses)} uses`, `${mass(found.after.central)} CO2e`, `${interval}; ${paidWords(found.after.ends)}`]);
    }
    told.append(make("dl", {}, ...rows.map(([name, value, detail]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), detail ? make("span", {}, ` ${detail}`) : "")))), badge(data));
    return told;
  }

  // The break-evens in the table, as reports/study_tables.py writes them; those without a verdict stay as they are.
  function table(choice, data) {
    for (const place of places()) {
      const found = Payback.judge(data.cells[place.dataset.cell], choice, data.words);
      if (found.outcome === "unknown") continue;
      const known = found.uses !== null;
      const atOnce = Payback.atOnce(found);
      const more = atOnce ? "" : known ? `${number(found.ends[0])} to ${number(found.ends[1])}` : found.reason;
      place.querySelector(".value").textContent = atOnce ? data.words.first_use : known ? number(found.uses) : found.outcome;
      place.querySelectorAll(".more").forEach((one) => one.remove());
      if (more) place.append(make("span", { class: "more" }, more));
      const shown = place.querySelector(".badge");
      if (shown) shown.style.display = known ? "" : "none";
    }
    const note = document.getElementById("chosen");
    if (note) note.textContent = chosenWords(choice, data.settings);
  }

  // What the table's break-evens are for, where that is not what the rest of the page is for.
  function chosenWords({ searched, used, pue, reuses }, settings) {
    const own = [settings.searched_in, settings.used_in].map((code) => settings.regions.find((one) => one[0] === code)[1]);
    const same = searched.code === settings.searched_in && used.code === settings.used_in && pue[1] === settings.pue[1];
    if (same && reuses === 1) return "";
    const shared = `${number(reuses)} deployment${reuses === 1 ? "" : "s"}`;
    return `Break-even uses as chosen below: searched in ${searched.name}, used in ${used.name}, PUE ${pue[1]}, ${shared}. `
      + `All other columns, and the paragraphs, are for what was searched in ${own[0]} and is used in ${own[1]} at a PUE of ${settings.pue[1]}.`;
  }

  function what(several) {
    const again = several ? "the answers are computed again from these runs' energies" : "the answer is computed again from this run's energies";
    const kept = places().length
      ? "The break-evens in the table of verdicts follow; headline, figures and all other tables keep"
      : "Headline, figures and tables of the page keep";
    return `${again}. ${kept} the report's own choice.`;
  }

  return { badge, panel, table, what };
})();

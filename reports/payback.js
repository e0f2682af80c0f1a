// Whether a search pays back, from the data of reports/payback.py: what reports/break_even.py computes, which tests hold this to.
const Payback = (() => {
  const UJ_PER_KWH = 3.6e12;

  // Grams per microjoule where the search ran and where the model is used: the central pair, then the ends of their ranges.
  function rates(searched, used, [low, central, high]) {
    const least = (one) => (1 / UJ_PER_KWH) * one.low * low;
    const most = (one) => (1 / UJ_PER_KWH) * one.high * high;
    const middle = (one) => (1 / UJ_PER_KWH) * central * one.central;
    const pairs = [
      [middle(searched), middle(used)],
      [least(searched), least(used)],
      [most(searched), most(used)],
    ];
    if (searched.code !== used.code) pairs.push([least(searched), most(used)], [most(searched), least(used)]);
    return pairs.map(([one, other]) => ({ searched: one, used: other }));
  }

  function usesToPayBack(netG, savingUj, rate) {
    if (netG <= 0) return 0;
    const savedG = savingUj * rate;
    return savedG > 0 ? netG / savedG : Infinity;
  }

  function answer(scenario, rate, reuses, words) {
    const netUj = Math.floor(scenario.search_uj / reuses) + scenario.final_uj - scenario.hand_uj;
    const netG = netUj * rate.searched;
    const { saving_uj: saving, low_uj: low, high_uj: high } = scenario;
    const found = { outcome: "outside the measured curve", rate, netG, net: [netG, netG], savingUj: saving, saving: null, uses: null, ends: null, reason: "" };
    if (saving === null || low === null || scenario.outside_share > words.max_outside) return found;
    found.saving = [low, high];
    found.outcome = high <= 0 ? "never" : low <= 0 ? "not separable" : "number";
    if (found.outcome !== "number") return found;
    if (rate.used === 0 && netG > 0) return { ...found, outcome: "never", reason: words.nothing_emitted };
    const uses = [saving, high, low].map((one) => usesToPayBack(netG, one, rate.used));
    return { ...found, uses: uses[0], ends: [uses[1], uses[2]] };
  }

  function hull(pairs) {
    const known = pairs.filter((one) => one !== null);
    return known.length ? [Math.min(...known.map((one) => one[0])), Math.max(...known.map((one) => one[1]))] : null;
  }

  // One answer out of those of all scenarios and pairs of rates; the first has the point figures.
  function united(answers, words) {
    const found = { ...answers[0], net: hull(answers.map((one) => one.net)) };
    if (found.saving === null) return found;
    found.saving = hull(answers.map((one) => one.saving));
    if (new Set(answers.map((one) => one.outcome)).size > 1) {
      const saves = answers.every((one) => one.saving !== null && one.saving[0] > 0);
      return { ...found, outcome: "not separable", uses: null, ends: null, reason: saves ? words.grid_decides : "" };
    }
    return { ...found, ends: hull(answers.map((one) => one.ends)) };
  }

  // Net grams after so many uses, with their ends; null where no saving was measured.
  function netAfter(answers, uses) {
    const after = (one, saving) => one.netG - uses * saving * one.rate.used;
    const [first] = answers;
    if (first.savingUj === null || first.saving === null) return null;
    const known = answers.filter((one) => one.saving);
    const low = Math.min(...known.map((one) => after(one, one.saving[1])));
    return { central: after(first, first.savingUj), ends: [low, Math.max(...known.map((one) => after(one, one.saving[0])))] };
  }

  // Whether there is nothing to pay back, whatever is assumed.
  const atOnce = (found) => found.outcome === "number" && found.ends[1] <= 0;

  function headline(found, words) {
    const { number } = Words;
    if (atOnce(found)) return words.pays_at_once;
    if (found.outcome === "not separable" && found.reason) return Words.filled(words.no_break_even, { reason: found.reason });
    const figures = found.outcome === "number" ? { uses: number(found.uses), low: number(found.ends[0]), high: number(found.ends[1]) } : {};
    return Words.filled(words.headlines[found.outcome], { reason: found.reason || words.never, ...figures });
  }

  // Who was better, and whether the search paid.
  function said(cell, found, words) {
    if (cell.winner && found.outcome === "unknown") return cell.winner + Words.filled(words.pays_unknown, { reason: found.reason });
    return cell.winner + headline(found, words);
  }

  // Everything that is said of a cell under a choice: {searched, used, pue, uses, reuses}.
  function judge(cell, choice, words) {
    if (cell.fixed) return { ...cell.fixed, uses: null, headline: said(cell, { ...cell.fixed }, words) };
    const pairs = rates(choice.searched, choice.used, choice.pue);
    const answers = cell.scenarios.flatMap((one) => pairs.map((rate) => answer(one, rate, choice.reuses, words)));
    const found = united(answers, words);
    return { ...found, headline: said(cell, found, words), after: netAfter(answers, choice.uses) };
  }

  return { judge, atOnce, gramsPerUj: (region, pue) => (1 / UJ_PER_KWH) * pue[1] * region.central };
})();

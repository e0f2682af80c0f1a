"use strict";
// Numbers as the rest of the page writes them: the same figures as reports/words.py, which tests hold this to.
const Words = (() => {
  const MINUS = "\u2212";
  const UNITS = [[1e6, 1e6, "t"], [1e3, 1e3, "kg"], [0.01, 1, "g"], [0, 1e-3, "mg"]];

  // A rounded number to so many decimals, half to even as Python rounds. A half is exact only in few digits.
  function rounded(value, places) {
    const exact = Math.abs(value).toExponential(40);
    const [digits, power] = exact.split("e");
    const kept = Number(power) + places + 1;
    const all = digits.replace(".", "");
    let text = kept <= 0 ? "0" : all.slice(0, kept).padEnd(kept, "0");
    const rest = kept < 0 ? "0" : all.slice(Math.max(0, kept));
    const half = /^50*$/.test(rest);
    const up = half ? Number(text.at(-1)) % 2 === 1 : rest !== "" && rest[0] >= "5";
    let whole = BigInt(text) + (up ? 1n : 0n);
    if (places <= 0) return String(whole * 10n ** BigInt(-places));
    text = String(whole).padStart(places + 1, "0");
    return `${text.slice(0, -places)}.${text.slice(-places)}`;
  }

  function grouped(text) {
    const [whole, fraction] = text.split(".");
    return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction === undefined ? "" : `.${fraction}`);
  }

  function significant(value) {
    if (value === Infinity) return "\u221e";
    if (value === -Infinity) return `${MINUS}\u221e`;
    if (value === 0) return "0";
    const places = 2 - Number(value.toExponential().split("e")[1]);
    return (value < 0 ? MINUS : "") + grouped(rounded(value, places));
  }

  function shortest(value) {
    const text = significant(value);
    return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
  }

  function number(value) {
    for (const [size, name] of [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]]) {
      if (Math.abs(value) >= size && Number.isFinite(value)) return `${shortest(value / size)} ${name}`;
    }
    return shortest(value);
  }

  function mass(grams) {
    const [, size, unit] = UNITS.find(([least]) => Math.abs(grams) >= least);
    return `${significant(grams / size)} ${unit}`;
  }

  // Two masses, both in the unit that suits the larger one.
  function massRange(ends) {
    const finite = ends.map(Math.abs).filter(Number.isFinite);
    const [, size, unit] = UNITS.find(([least]) => Math.max(0, ...finite) >= least);
    return ends.map((one) => `${significant(one / size)} ${unit}`).join(" to ");
  }

  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const optional = (value, places) => (value === null ? "unknown" : (value < 0 ? MINUS : "") + rounded(value, places));

  return { significant, shortest, number, mass, massRange, filled, optional };
})();

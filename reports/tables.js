// Tables: sorted by a click on a head, long ones with a box that keeps the rows that hold a text.
const Tables = (() => {
  const LONG = 12;
  const SIZES = {
    mg: 1e-3, g: 1, kg: 1e3, t: 1e6, mJ: 1e-3, J: 1, kJ: 1e3, Wh: 3600, kWh: 3.6e6, ms: 1e-3, s: 1, min: 60, h: 3600,
    million: 1e6, billion: 1e9, trillion: 1e12,
  };

  // The number that a cell begins with, in the unit behind it; null where there is none. Times are sums: 2 min 05 s.
  function value(text) {
    const bare = text.split("(")[0].replace(/,(?=\d{3})/g, "").replace(/\u2212/g, "-");
    if (/^\s*[+-]?\u221e/.test(bare)) return bare.includes("-") ? -Infinity : Infinity;
    const parts = [...bare.matchAll(/([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]+)?/g)];
    if (!parts.length || !/^\s*[<>~\u2248]?\s*[+-]?\d/.test(bare)) return null;
    const time = parts.length > 1 && parts.every((one) => ["h", "min", "s"].includes(one[2]));
    return (time ? parts : parts.slice(0, 1)).reduce((sum, one) => sum + Number(one[1]) * (SIZES[one[2]] ?? 1), 0);
  }

  function key(cell, numeric) {
    const text = (cell.querySelector(".value") ?? cell).textContent.trim().replace(/^at least /, "");
    return numeric ? value(text) : /^[\u2013-]?$|^unknown$/.test(text) ? null : text;
  }

  function sort(table, column, head) {
    const rising = head.getAttribute("aria-sort") === "ascending";
    const sign = rising ? -1 : 1;
    const numeric = head.classList.contains("number") || "number" in head.dataset;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row.cells[column], numeric), row]);
    const language = new Intl.Collator("en", { numeric: true });
    rows.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null); // unknown ones last, either way
      return sign * (numeric ? one - other || 0 : language.compare(one, other));
    });
    body.append(...rows.map(([, row]) => row));
    for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "descending" : "ascending");
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, head));
      head.append(button);
    });
  }

  function filtered(table) {
    const rows = [...table.tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const region = table.closest(".scroll");
    const label = document.createElement("label");
    const box = document.createElement("input");
    const count = document.createElement("output");
    box.type = "search";
    label.className = "filter";
    label.append(`Rows with `, box, count);
    box.setAttribute("aria-label", `Rows of “${region.getAttribute("aria-label")}” with this text`);
    const show = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += !row.hidden;
      }
      count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    };
    box.addEventListener("input", show);
    show();
    region.before(label);
  }

  for (const table of document.querySelectorAll(".scroll > table")) {
    const rows = table.tBodies[0].rows.length;
    if (table.tHead && rows > 2) sortable(table);
    if (table.tHead && rows > LONG) filtered(table);
  }
  return { value };
})();

// The choice of regions and re-uses, and the scatter of models.
(() => {
  const source = document.getElementById("data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const { significant, shortest, mass, optional } = Words;
  const { make } = Drawn;
  const models = data.models.map((row) => Object.fromEntries(data.columns.map((name, at) => [name, row[at]])));
  const regions = data.settings.regions.map(([code, name, central, low, high, kind]) => ({ code, name, central, low, high, kind }));
  const choice = { pue: data.settings.pue, uses: data.settings.uses, reuses: 1 };
  const watched = [];
  const changed = () => watched.forEach((one) => one());
  const field = (name, input) => make("label", {}, make("span", {}, name), input);

  function regionField(name, code, use) {
    const select = make("select", { id: `choice-${use}` });
    const ordered = [...regions].sort((one, other) => one.name.localeCompare(other.name, "en"));
    for (const one of ordered) {
      select.append(make("option", { value: one.code }, `${one.name}${one.name === one.code ? "" : ` (${one.code})`}: ${shortest(one.central)} g/kWh`));
    }
    select.value = code;
    const read = () => (choice[use] = regions.find((one) => one.code === select.value));
    select.addEventListener("change", () => { read(); changed(); });
    read();
    return field(name, select);
  }

  function numberField(name, id, value, least, step, read) {
    const input = make("input", { id: `choice-${id}`, type: "number", min: least, step, value, required: "" });
    input.addEventListener("input", () => {
      if (input.checkValidity() && input.value !== "") { read(input.valueAsNumber); changed(); }
    });
    input.addEventListener("change", () => input.reportValidity());
    return field(name, input);
  }

  function choices(place) {
    const form = make("form", { class: "choice" });
    form.addEventListener("submit", (event) => event.preventDefault());
    const searches = data.cells.length > 0;
    form.append(
      regionField(searches ? "Searched and trained in" : "Trained in", data.settings.searched_in, "searched"),
      regionField("Used in", data.settings.used_in, "used"),
    );
    const [low, central, high] = choice.pue;
    form.append(numberField("PUE", "pue", central, 1, "any", (value) => {
      // A range that was given moves along, so far as it is about the machine room and not below 1.
      choice.pue = [Math.max(1, value - (central - low)), value, value + (high - central)];
    }));
    if (searches) {
      form.append(
        numberField("Number of uses", "uses", choice.uses, 1, 1, (value) => (choice.uses = value)),
        numberField("Deployments that share the search", "reuses", 1, 1, 1, (value) => (choice.reuses = value)),
      );
    }
    const several = data.cells.length > 1;
    // Several answers would be read out one after the other: of those the note below the table of verdicts tells.
    const answers = make("div", { class: several ? "answers several" : "answers", ...(several ? {} : { "aria-live": "polite" }) });
    const compares = () => {
      const [one, other] = [choice.searched.kind, choice.used.kind];
      return one === other ? "" : `The two regions' intensities do not count the same (${choice.searched.name}: ${one}, ${choice.used.name}: ${other}).`;
    };
    const show = () => {
      answers.replaceChildren(...data.cells.map((cell) => Answers.panel(cell, choice, data, several)), ...(searches && compares() ? [make("p", { class: "note" }, compares())] : []));
      Answers.table(choice, data);
    };
    watched.push(show);
    show();
    place.append(
      make("h2", {}, searches ? "Other regions and numbers of uses" : "Other regions"),
      make("p", {}, searches ? `Choose where it ran, where the model is used and how often; ${Answers.what(several)}`
        : "Choose where the designs are trained and used: grams of the models below follow."),
      form, answers,
    );
  }

  // Axes -------------------------------------------------------------------------------------------------------------------
  const trainG = (one) => (one.train_uj === null ? null : one.train_uj * Payback.gramsPerUj(choice.searched, choice.pue));
  const X = {
    macs: ["million MACs (paper's convention)", (one) => one.macs === null ? null : one.macs / 1e6],
    params: ["million parameters, all", (one) => one.params === null ? null : one.params / 1e6],
    output_j: ["joules per 1,000 outputs, loaded", (one) => one.output_j],
    train_g: ["g CO2e of one training, loaded", trainG],
  };
  const Y = {
    valid: [`validation ${data.metric}`, (one) => one.valid],
    test: [`test ${data.metric}`, (one) => one.test],
  };
  const KINDS = {
    trial: "trial of the search, short budget", hand: "hand design", finalist: "finalist", champion: "champion",
  };

  function scale(values, from, to, log) {
    const f = log ? Math.log10 : (value) => value;
    let [low, high] = [Math.min(...values), Math.max(...values)].map(f);
    const pad = (high - low || Math.abs(high) || 1) * 0.06;
    [low, high] = [low - pad, high + pad];
    return { at: (value) => from + ((f(value) - low) / (high - low)) * (to - from), ticks: log ? logTicks(low, high) : ticks(low, high, Math.abs(to - from) / 75) };
  }

  function ticks(low, high, most) {
    const raw = (high - low) / Math.max(2, most);
    const size = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((one) => one * size >= raw) * size;
    const found = [];
    for (let at = Math.ceil(low / step); at * step <= high; at++) found.push(Number((at * step).toPrecision(12)));
    return found;
  }

  function logTicks(low, high) {
    const found = [];
    for (let power = Math.floor(low); power <= high; power++) {
      for (const one of high - low > 2 ? [1] : [1, 2, 5]) found.push(one * 10 ** power);
    }
    return found.filter((one) => Math.log10(one) >= low && Math.log10(one) <= high);
  }

  // Lines of a model, for the tip and for its card ----------------------------------------------------------------------------
  function facts(one) {
    const known = (value, words, unit) => (value === null ? null : `${words(value)} ${unit}`);
    const interval = one.test_low === null ? "" : ` (95 % interval ${optional(one.test_low, data.places)} to ${optional(one.test_high, data.places)})`;
    const used = one.output_j === null ? null : one.output_j * 1e6 * Payback.gramsPerUj(choice.used, choice.pue);
    return [
      ["What it is", `${KINDS[one.kind]}; ${one.note}`],
      [`Test ${data.metric}`, one.test === null ? null : `${optional(one.test, data.places)}${interval}`],
      [`Validation ${data.metric}`, one.valid === null ? null : optional(one.valid, data.places)],
      ["Work", known(one.macs, (value) => significant(value / 1e6), "million MACs (paper's convention)")],
      ["Size", known(one.params, (value) => significant(value / 1e6), "million parameters, all")],
      ["Use", one.output_j === null ? null : `${significant(one.output_j)} J per 1,000 outputs, ${mass(used)} CO2e`],
      ["Training", one.train_uj === null ? null : `${significant(one.train_uj / 3.6e9)} Wh, ${mass(trainG(one))} CO2e`],
    ].filter(([, value]) => value !== null);
  }

  const families = [...new Set(models.filter((one) => one.family !== "searched").map((one) => one.family))].sort();
  const colour = (one) => `var(--${one.family === "searched" ? "searched" : `family-${(families.indexOf(one.family) % 6) + 1}`})`;

  // Corners around the middle, for a mark of size 1: families by hand in their order, then again from the first, a circle.
  const DIAMOND = [[0, -1], [1, 0], [0, 1], [-1, 0]];
  const SHAPES = [
    null,
    [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
    [[0, -1.1], [1.1, 0.9], [-1.1, 0.9]],
    [[0, 1.1], [1.1, -0.9], [-1.1, -0.9]],
    [[-0.35, -1.1], [0.35, -1.1], [0.35, -0.35], [1.1, -0.35], [1.1, 0.35], [0.35, 0.35], [0.35, 1.1], [-0.35, 1.1], [-0.35, 0.35],
      [-1.1, 0.35], [-1.1, -0.35], [-0.35, -0.35]],
  ];

  function mark(one, x, y) {
    const big = { trial: 4, hand: 6, finalist: 7, champion: 9 }[one.kind];
    const corners = { finalist: DIAMOND, champion: DIAMOND, hand: SHAPES[families.indexOf(one.family) % SHAPES.length] }[one.kind];
    const shape = corners
      ? make("path", { d: `M${corners.map(([across, up]) => `${x + big * across} ${y + big * up}`).join("L")}Z` })
      : make("circle", { cx: x, cy: y, r: big });
    shape.style.setProperty("--mark", colour(one));
    return shape;
  }

  function explorer(place) {
    const figure = make("figure", { class: "scatter" });
    const plot = make("div", { class: "plot" });
    const tip = make("div", { class: "tip", hidden: "" });
    const card = make("div", { class: "card", "aria-live": "polite" });
    const pick = (name, id, axes, chosen) => {
      const select = make("select", { id: `choice-${id}` }, ...Object.entries(axes).map(([key, [words]]) => make("option", { value: key }, words)));
      select.value = chosen;
      select.addEventListener("change", draw);
      return [select, field(name, select)];
    };
    const any = (read) => models.some((one) => read(one) !== null);
    const usable = (axes) => Object.fromEntries(Object.entries(axes).filter(([, [, read]]) => any(read)));
    const axes = { x: usable(X), y: usable(Y) };
    if (!Object.keys(axes.x).length || !Object.keys(axes.y).length) return;
    const [across, acrossField] = pick("Horizontal axis", "across", axes.x, Object.keys(axes.x)[0]);
    const [up, upField] = pick("Vertical axis", "up", axes.y, Object.keys(axes.y)[0]);
    const caption = make("figcaption");
    let points = [];
    let opened = null;

    function show(point) {
      tip.replaceChildren(make("b", {}, point.model.name), ...facts(point.model).map(([name, value]) => make("div", {}, `${name}: ${value}`)));
      tip.hidden = false;
      const room = plot.clientWidth - tip.offsetWidth;
      tip.style.left = `${Math.max(0, Math.min(room, point.x + 14))}px`;
      const above = point.y - tip.offsetHeight - 12;
      tip.style.top = `${above >= 0 ? above : point.y + 16}px`;
    }

    function open(point) {
      opened = point.model;
      points.forEach((one) => one.element.classList.toggle("open", one.model === opened));
      fill();
    }

    function fill() {
      if (!opened) return;
      const told = make("dl", {}, ...facts(opened).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
      const drawn = opened.output_j === null && opened.train_uj === null ? [] : [Answers.badge(data)];
      card.replaceChildren(make("h3", {}, opened.name), told, ...drawn, Drawn.architecture(data, opened.architecture));
    }

    function move(point, step) {
      const at = points.indexOf(point);
      const next = points[{ Home: 0, End: points.length - 1 }[step] ?? Math.max(0, Math.min(points.length - 1, at + step))];
      point.element.setAttribute("tabindex", "-1");
      next.element.setAttribute("tabindex", "0");
      next.element.focus();
    }

    function keys(event, point) {
      const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: "Home", End: "End" };
      if (event.key === "Escape") tip.hidden = true;
      else if (event.key === "Enter" || event.key === " ") open(point);
      else if (event.key in steps) move(point, steps[event.key]);
      else return;
      event.preventDefault();
    }

    function draw() {
      const width = Math.max(280, plot.clientWidth || 860);
      const height = width < 520 ? 330 : 400;
      const [xWords, xOf] = axes.x[across.value];
      const [yWords, yOf] = axes.y[up.value];
      const found = models.filter((one) => xOf(one) !== null && yOf(one) !== null).sort((one, other) => xOf(one) - xOf(other));
      tip.hidden = true;
      if (!found.length) {
        plot.replaceChildren(make("p", {}, "No model has both of these."), tip);
        return;
      }
      const xs = found.map(xOf);
      const ys = found.flatMap((one) => (up.value === "test" && one.test_low !== null ? [yOf(one), one.test_low, one.test_high] : [yOf(one)]));
      const log = Math.min(...xs) > 0 && Math.max(...xs) / Math.min(...xs) > 20;
      const [x, y] = [scale(xs, 52, width - 12, log), scale(ys, height - 44, 12, false)];
      const svg = make("svg", { role: "group", "aria-label": `${found.length} models: ${yWords} against ${xWords}. Arrow keys move, Enter opens.`, viewBox: `0 0 ${width} ${height}`, width, height });
      for (const one of y.ticks) svg.append(make("line", { class: "grid", x1: 52, x2: width - 12, y1: y.at(one), y2: y.at(one) }), make("text", { class: "tick end", x: 46, y: y.at(one) + 4 }, shortest(one)));
      for (const one of x.ticks) svg.append(make("line", { class: "grid", x1: x.at(one), x2: x.at(one), y1: 12, y2: height - 44 }), make("text", { class: "tick middle", x: x.at(one), y: height - 27 }, shortest(one)));
      svg.append(make("text", { class: "tick middle", x: (width + 40) / 2, y: height - 7 }, xWords + (log ? ", logarithmic" : "")));
      points = found.map((model) => ({ model, x: x.at(xOf(model)), y: y.at(yOf(model)) }));
      // Small marks last, so that none is hidden under a large one's interval; the keyboard's order stays that of the axis.
      for (const point of points) {
        const { model } = point;
        const about = facts(model).map(([name, value]) => `${name}: ${value}`).join(". ");
        const group = make("g", { class: `point ${model.kind}${model === opened ? " open" : ""}`, role: "button", tabindex: "-1", "aria-label": `${model.name}. ${about}` });
        if (up.value === "test" && model.test_low !== null) {
          const bar = make("line", { class: "interval", x1: point.x, x2: point.x, y1: y.at(model.test_low), y2: y.at(model.test_high) });
          bar.style.setProperty("--mark", colour(model));
          group.append(bar);
        }
        group.append(make("circle", { class: "target", cx: point.x, cy: point.y, r: 12 }), mark(model, point.x, point.y));
        group.addEventListener("pointerenter", () => show(point));
        group.addEventListener("pointerleave", () => (tip.hidden = true));
        group.addEventListener("focus", () => show(point));
        group.addEventListener("blur", () => (tip.hidden = true));
        group.addEventListener("click", () => open(point));
        group.addEventListener("keydown", (event) => keys(event, point));
        point.element = group;
      }
      const order = ["trial", "hand", "finalist", "champion"];
      svg.append(...[...points].sort((one, other) => order.indexOf(one.model.kind) - order.indexOf(other.model.kind)).map((one) => one.element));
      points[0].element.setAttribute("tabindex", "0");
      plot.replaceChildren(svg, tip);
      caption.textContent = captionWords();
    }

    // What is to be said of what is drawn now.
    function captionWords() {
      const words = ["Point at or tap a model for its figures; click it, or reach it by the arrow keys and press Enter, to see it drawn."];
      const drawn = points.map((one) => one.model);
      if (drawn.some((one) => one.kind === "trial")) {
        words.push("Trials had a shorter training than the others, so their validation scores do not compare with those of the full budget.");
      }
      if (up.value === "test" && drawn.some((one) => one.test_low !== null)) words.push("Bars are 95 % intervals.");
      return words.join(" ");
    }

    const legend = make("ul", { class: "legend" }, ...legendRows().map(([one, words]) =>
      make("li", {}, make("svg", { viewBox: "0 0 20 20", width: 20, height: 20, class: `point ${one.kind}`, "aria-hidden": "true" }, mark(one, 10, 10)), words)));
    figure.append(make("h3", {}, "Every model"), make("div", { class: "choice" }, upField, acrossField), plot, legend, caption);
    place.append(figure, card);
    watched.push(() => { draw(); fill(); });
    let width = 0;
    new ResizeObserver(() => { if (plot.clientWidth !== width) { width = plot.clientWidth; draw(); } }).observe(plot);
    draw();
  }

  function legendRows() {
    const rows = families.map((family) => [{ family, kind: "hand" }, family.replaceAll("_", " ")]);
    for (const kind of ["trial", "finalist"]) {
      if (models.some((one) => one.kind === kind)) rows.push([{ family: "searched", kind }, KINDS[kind]]);
    }
    if (models.some((one) => one.kind === "champion")) rows.push([{ family: "searched", kind: "champion" }, "champion, in its family's colour"]);
    return rows;
  }

  choices(document.getElementById("choices"));
  explorer(document.getElementById("explorer"));
})();

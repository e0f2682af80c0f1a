// Architectures: the boxes that reports/architecture_drawing.py laid out, put into the same SVG as its own.
const Drawn = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  // An element with attributes and children; text is always text, never markup.
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "g", "rect", "text", "path", "circle", "line", "title"].includes(tag);
    const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  const CHARACTER = 6.1;
  function fitted(text, width) {
    const most = Math.max(1, Math.trunc((width - 8) / CHARACTER));
    const letters = [...text];
    return letters.length <= most ? text : `${letters.slice(0, most - 1).join("")}\u2026`;
  }

  function box(data, place, offset) {
    const [x, top, width, height, lookAt, nameAt, detailAt, macs] = data.boxes[place];
    const [look, y] = [data.looks[lookAt], top + offset];
    const [name, detail] = [data.labels[nameAt], data.labels[detailAt]];
    if (look === "words") return make("text", { class: "words", x, y: y + 11 }, fitted(name, width));
    if (look === "residual") return make("path", { class: "residual", d: `M${x + width - 1} ${y + 4}H${x + 2}V${y + height - 4}H${x + width - 1}` });
    const shape = make("rect", { class: look, x, y, width, height, rx: 4 });
    if (look === "frame") return shape;
    const lines = [name, detail].filter(Boolean);
    const bar = Math.floor((width * macs) / Math.max(1, data.most));
    return make("g", {}, make("title", {}, lines.join(", ")), shape,
      ...(bar ? [make("rect", { class: "work", x, y: y + height - 4, width: bar, height: 4 })] : []),
      ...lines.map((one, at) => make("text", { x: x + 5, y: y + 13 + 14 * at }, fitted(one, width))));
  }

  const layerWords = (first, count) => (count === 1 ? `layer ${first}` : `layers ${first} to ${first + count - 1}: ${count} times`);

  function stackWords(data, name, width, layers) {
    const boxWords = (place) => {
      const [name, detail] = data.boxes[place].slice(5, 7).map((label) => data.labels[label]);
      return name + (detail ? ` (${detail})` : "");
    };
    const told = layers.map(([first, count, at]) => `${layerWords(first, count)}: ${data.layers[at][1].map(boxWords).filter(Boolean).join(", ") || "nothing"}`);
    return `${name} of width ${width}. ${told.join("; ") || "no layers"}.`;
  }

  function stack(data, [name, width, layers]) {
    const svg = make("svg", { class: "stack", role: "img", "aria-label": stackWords(data, name, width, layers) });
    let y = 0;
    for (const [first, count, at] of layers) {
      const [height, boxes] = data.layers[at];
      svg.append(make("text", { class: "words", x: 1, y: y + 11 }, layerWords(first, count)), ...boxes.map((one) => box(data, one, y + 15)));
      y += 15 + height + 5;
    }
    if (!layers.length) {
      svg.append(make("text", { class: "words", x: 1, y: 11 }, "no layers"));
      y = 15;
    }
    svg.setAttribute("viewBox", `0 0 ${data.width} ${y}`);
    return svg;
  }

  function architecture(data, place) {
    if (place === null) return make("p", { class: "note" }, "Its record holds no architecture.");
    return make("div", { class: "stacks" }, ...data.architectures[place].map((one) =>
      make("div", {}, make("h4", {}, `${one[0]}, width ${one[1]}`), stack(data, one))));
  }

  return { make, architecture };
})();

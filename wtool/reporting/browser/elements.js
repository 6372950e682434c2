// Elements of the page. Text becomes text nodes and nothing else: no text is ever parsed as markup.

const SVG = "http://www.w3.org/2000/svg";
let lastNumber = 0;

/** Returns an identifier that no other element has. */
function newId(word) {
  return `${word}-${++lastNumber}`;
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat(2).filter((each) => each != null && each !== false));
  return made;
}

/** Returns an element: `element("button", { class: "wide", click: act }, "Text", anotherElement)`. */
function element(name, attributes, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Returns an element of a drawing. */
function drawn(name, attributes, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Returns a name from a file, which keeps its direction of writing to itself, with the whole name to hover over. */
function named(text, most) {
  const told = short(text, most);
  return element("bdi", { class: "name", title: told === text ? null : short(text, 300) }, told);
}

/** Returns a choice between words: buttons, of which one is pressed. */
function choice(label, words, chosen, act) {
  const buttons = words.map((word) =>
    element("button", { type: "button", "aria-pressed": String(word === chosen), click: () => choose(word) }, word));
  function choose(word) {
    buttons.forEach((each, number) => each.setAttribute("aria-pressed", String(words[number] === word)));
    act(word);
  }
  return element("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

/** Returns a paragraph of quiet words. */
function quiet(text) {
  return element("p", { class: "quiet" }, text);
}

/** Returns a drawing with a caption; `label` tells what can be seen, and `kind` is the class of the drawing. */
function picture(kind, [width, height], label, parts, more) {
  return drawn("svg", { class: kind, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, ...more }, parts);
}

/** Returns a labelled list of values to choose from; `options` are pairs of a value and its text. */
function selection(label, options, chosen, act) {
  const list = element("select", { change: () => act(list.value) },
    options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  return element("label", { class: "field" }, element("span", {}, label), list);
}

/** Returns a section with its heading; `level` is that of the heading. */
function section(level, title, ...children) {
  return element("section", {}, element(`h${level}`, {}, title), ...children);
}

/** Returns a list of facts: pairs of a term and what is told of it. Facts that are null are left out. */
function facts(pairs, kind = "facts") {
  const told = pairs.filter(([, value]) => value != null && value !== "");
  return element("dl", { class: kind },
    told.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

/** Returns a bar for a share from 0 to 1, with its number. */
function bar(share) {
  if (share == null) return "";
  const inner = element("span", { class: "bar-in" });
  inner.style.width = `${100 * share}%`;
  return element("span", { class: "bar" }, element("span", { class: "bar-out" }, inner), percent(share));
}

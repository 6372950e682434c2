// The lineage of a model: its operations and the files that took part, as a graph and as a list.

const NODE = { width: 176, height: 46, across: 200, down: 84 };
const MOST_RECORDS = 40;
const MOST_INPUTS = 4;

function object(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function list(value) {
  return Array.isArray(value) ? value : [];
}

/** Returns the beginning of a text. */
function cut(text, most) {
  const told = short(text, 200);
  return told.length <= most ? told : told.slice(0, most - 1) + "…";
}

/** Returns a few words for what an operation was given. */
function givenOf(record) {
  return Object.entries(object(record.parameters)).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");
}

/**
 * Returns the nodes of a graph, each with the nodes that it was made from: operations, and the files that they read.
 *
 * The first file of an operation on one model is what the operation before left. Records that were carried along from
 * another input, which came through a pipe, are a chain of their own.
 */
function nodesOf(records) {
  const files = new Map(), latest = new Map(), nodes = [];
  for (const [number, record] of records.entries()) {
    const operation = { record, number, title: record.operation ?? "unknown", text: givenOf(record), from: [] };
    const inputs = list(record.inputs).map(object);
    const before = latest.get(record.of);
    const follows = before && (inputs.length === 1 || inputs[0]?.as);
    inputs.slice(0, MOST_INPUTS).forEach((input, place) => {
      const source = place === 0 && follows ? before : input.name === "-" ? latest.get(input.as) : null;
      const key = JSON.stringify(input.hash ?? input.name);
      let file = source ? null : files.get(key);
      if (!file) {
        file = { title: input.name ?? "a file", text: input.as ?? "file", from: source ? [source] : [], isFile: true };
        if (!source) files.set(key, file);
        nodes.push(file);
      }
      if (!operation.from.includes(file)) operation.from.push(file);
    });
    if (inputs.length > MOST_INPUTS) {
      const rest = { title: `and ${whole(inputs.length - MOST_INPUTS)} more`, text: "files", from: [], isFile: true };
      nodes.push(rest);
      operation.from.push(rest);
    }
    if (before && !follows) operation.from.push(before);
    latest.set(record.of, operation);
    nodes.push(operation);
  }
  return nodes;
}

/** Returns rows of nodes: each stands below all that it was made from, and a file right above what it went into. */
function rowsOf(nodes) {
  for (const node of nodes) {
    const made = node.from.filter((each) => !each.isFile || each.from.length);
    node.row = Math.max(node.isFile ? 0 : 1, ...made.map((each) => each.row + 1));
    for (const file of node.from) if (file.isFile && !file.from.length && file.isPlaced !== true) [file.row, file.isPlaced] = [node.row - 1, true];
  }
  const rows = [];
  for (const node of nodes) (rows[node.row] ??= []).push(node);
  return rows.filter(Boolean);
}

/** Returns the graph and the list of a lineage's records. */
function lineageOf(records, name) {
  if (!records.length) return section(3, "Lineage", quiet("No operation of wtool is recorded in this file."));
  const shown = records.slice(-MOST_RECORDS);
  const ids = shown.map(() => newId("record"));
  const nodes = nodesOf(shown);
  const end = { title: name, text: "this model", from: nodes.filter((each) => each.record && each.record.of == null).slice(-1), isFile: true, isEnd: true };
  const rows = [...rowsOf(nodes), [end]];
  const widest = Math.max(...rows.map((row) => row.length));
  const width = widest * NODE.across, height = rows.length * NODE.down - (NODE.down - NODE.height) + 4;
  rows.forEach((row, down) => row.forEach((node, number) => {
    node.x = (widest - row.length) * NODE.across / 2 + number * NODE.across + (NODE.across - NODE.width) / 2;
    node.y = down * NODE.down + 2;
  }));
  const all = rows.flat();
  const edges = all.flatMap((node) => node.from.map((from) => {
    const [x1, y1, x2, y2] = [from.x + NODE.width / 2, from.y + NODE.height, node.x + NODE.width / 2, node.y];
    const middle = y2 - (NODE.down - NODE.height) / 2;
    return drawn("path", { class: "edge", d: `M${x1} ${y1}V${Math.max(y1, middle - 18)}C${x1} ${middle + 8} ${x2} ${middle - 8} ${x2} ${y2}` });
  }));
  const boxes = all.map((node) => {
    const box = drawn("g", { class: node.isEnd ? "node end" : node.isFile ? "node file" : "node", transform: `translate(${node.x} ${node.y})` },
      drawn("title", {}, short(`${node.title}: ${node.text}`, 300)),
      drawn("rect", { width: NODE.width, height: NODE.height, rx: node.isFile ? 4 : 10 }),
      drawn("text", { class: "title", x: NODE.width / 2, y: 19, "text-anchor": "middle" }, short(node.title, 22)),
      drawn("text", { x: NODE.width / 2, y: 36, "text-anchor": "middle" }, cut(node.text, 28)));
    return node.record ? drawn("a", { href: "#" + ids[node.number], "aria-label": short(`Record of ${node.title}`, 60) }, box) : box;
  });
  const graph = drawn("svg", { class: "lineage", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Graph of the lineage" }, edges, boxes);
  const items = shown.map((record, number) => {
    const names = list(record.inputs).map((each) => object(each).name ?? "a file");
    return element("li", { id: ids[number], tabindex: -1 }, element("details", {},
      element("summary", {}, element("strong", {}, short(record.operation ?? "unknown", 30)), " of ",
        names.length ? short(names.slice(0, 3).join(", ") + (names.length > 3 ? ` and ${names.length - 3} more` : ""), 80) : "the model",
        record.of == null ? "" : ` (recorded for its ${short(record.of, 30)})`),
      element("pre", { tabindex: 0 }, element("bdi", {}, JSON.stringify(record, null, 2).slice(0, 20000).split("\n").map(visible).join("\n")))));
  });
  const left = records.length - shown.length;
  return section(3, "Lineage",
    left ? quiet(`The latest ${MOST_RECORDS} of ${counted(records.length, "record")}.`) : null,
    element("div", { class: "scroll", role: "group", "aria-label": "Graph of the lineage", tabindex: 0 }, graph),
    element("ol", { class: "records", start: left + 1 }, items));
}

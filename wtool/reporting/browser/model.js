// One model: what its file tells, its layers and tensors.

function notesOf(notes) {
  if (!notes.length) return null;
  const shown = notes.slice(0, 50).map((each) => element("li", {}, named(each, 300)));
  return element("ul", { class: "notes", "aria-label": "Notes" }, shown,
    notes.length > 50 ? element("li", {}, `and ${whole(notes.length - 50)} more`) : null);
}

/** Returns the layers of a model in its order, each with its tensors and their sums. */
function layersOf({ model, kernels }) {
  const prunable = new Set(kernels);
  const layers = new Map(model.layers.map((each) => [each.name, { name: each.name, class: each.class, tensors: [] }]));
  for (const tensor of model.tensors) {
    if (!layers.has(tensor.layer)) layers.set(tensor.layer, { name: tensor.layer, class: tensor.class, tensors: [] });
    layers.get(tensor.layer).tensors.push(tensor);
  }
  return [...layers.values()].map((layer) => {
    const sum = (tensors, number) => tensors.reduce((total, each) => total + number(each), 0);
    const own = layer.tensors.filter((each) => prunable.has(each.path));
    const weights = sum(own, (each) => sizeOf(each.shape));
    return { ...layer, parameters: sum(layer.tensors, (each) => sizeOf(each.shape)), bytes: sum(layer.tensors, (each) => each.bytes),
      weights, zeros: sum(own, (each) => each.zeros), sparsity: weights ? sum(own, (each) => each.zeros) / weights : null };
  });
}

const FEWEST_BARS = 4;

/** Returns a drawing of the share of zeros in the kernels of each layer, in the order of the model. */
function sparsityOf(layers) {
  const shown = layers.filter((each) => each.sparsity != null);
  if (shown.length < FEWEST_BARS) return null;
  const width = 1000, height = 120, wide = Math.min(width / shown.length, 100);
  const title = element("p", { class: "readout" });
  const bars = shown.map((each, number) => `M${(number * wide).toFixed(2)} ${height}v${(-height * each.sparsity).toFixed(2)}h${(wide * (wide > 6 ? 0.86 : 1)).toFixed(2)}V${height}z`);
  const label = `Zeros in the kernels of ${counted(shown.length, "layer")}`;
  const grid = [0.25, 0.5, 0.75].map((each) => drawn("line", { class: "grid", x1: 0, x2: width, y1: height * each, y2: height * each }));
  const area = drawn("path", { class: "area", d: bars.join("") });
  const chart = picture("sparsity", [width, height], label, [...grid, area], { preserveAspectRatio: "none" });
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const each = shown[Math.min(shown.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * width / wide)))];
    title.textContent = `${short(each.name)}: ${percent(each.sparsity)}`;
  });
  return section(3, "Sparsity", element("figure", {},
    element("figcaption", {}, "Zeros in the kernels of each layer, in the order of the model; the top is 100 %"), chart, title));
}

/** Returns the statistics of a tensor, its histogram and its mask. */
function tensorDetail(part, tensor) {
  const size = sizeOf(tensor.shape);
  return element("div", { class: "detail-in" },
    facts([
      ["Tensor", named(tensor.path, 500)], ["Role", tensor.role], ["Shape", shapeOf(tensor.shape)], ["Type", tensor.dtype],
      ["Trainable", tensor.trainable == null ? "not told" : tensor.trainable ? "yes" : "no"],
      ["Zeros", `${whole(tensor.zeros)} of ${whole(size)}`],
      ["Mean", real(tensor.mean)], ["Deviation", real(tensor.std)], ["Least", real(tensor.min)], ["Largest", real(tensor.max)],
    ]),
    part.histograms[tensor.path] ? histogramOf(part.histograms[tensor.path]) : null,
    part.masks[tensor.path] ? maskOf(part.masks[tensor.path]) : null);
}

function layersTable(part, layers) {
  return dataTable({
    label: "Layers", noun: ["layer", "layers"], rows: layers,
    filters: [{ label: "Class", values: (row) => [row.class ?? "not told"] }],
    columns: [
      textColumn("Layer", "name"),
      textColumn("Class", (row) => row.class ?? "not told", 40),
      numberColumn("Parameters", (row) => (row.tensors.length ? row.parameters : null), whole),
      numberColumn("Size", (row) => (row.tensors.length ? row.bytes : null), bytes),
      numberColumn("Zeros of kernels", "sparsity", bar),
    ],
    detail: (row) => row.tensors.length
      ? row.tensors.slice(0, 50).map((each) => tensorDetail(part, each)) : quiet("No variables."),
  });
}

function tensorsTable(part) {
  const zeros = (row) => row.zeros / (sizeOf(row.shape) || 1);
  return dataTable({
    label: "Tensors", noun: ["tensor", "tensors"], rows: part.model.tensors,
    filters: [{ label: "Role", values: (row) => [row.role] }, { label: "Type", values: (row) => [row.dtype] }],
    columns: [
      textColumn("Tensor", "path"),
      textColumn("Role", "role", 30),
      textColumn("Shape", (row) => shapeOf(row.shape)),
      textColumn("Type", "dtype"),
      numberColumn("Values", (row) => sizeOf(row.shape), whole),
      numberColumn("Zeros", zeros, bar),
      numberColumn("Mean", "mean"),
      numberColumn("Deviation", "std"),
      numberColumn("Least", "min"),
      numberColumn("Largest", "max"),
    ],
    detail: (row) => tensorDetail(part, row),
  });
}

/** Returns layers or tensors, as the reader chooses; tables are made when they are first asked for. */
function contentsOf(part, layers) {
  const made = new Map();
  const place = element("div");
  const makers = { Layers: () => layersTable(part, layers), Tensors: () => tensorsTable(part) };
  const show = (word) => {
    if (!made.has(word)) made.set(word, makers[word]());
    place.replaceChildren(made.get(word));
  };
  show("Layers");
  return section(3, "Layers and tensors", choice("Rows", Object.keys(makers), "Layers", show), place);
}

function optimizerOf(optimizer) {
  if (!optimizer) return null;
  const name = optimizer.class ?? "class not told";
  return short(optimizer.lost ? `${name}, its state is lost` : optimizer.step == null ? name : `${name}, step ${whole(optimizer.step)}`, 60);
}

function deadOf(dead) {
  const found = dead.filter((each) => each.dead);
  if (!found.length) return null;
  return element("ul", { class: "notes", "aria-label": "Dead channels" }, found.slice(0, 50).map((each) =>
    element("li", {}, `${whole(each.dead)} of ${counted(each.channels, "channel")} cannot change an output: `, named(each.channels_of.join(", "), 200))));
}

function modelOf(part) {
  const { model } = part;
  const layers = layersOf(part);
  const weights = layers.reduce((total, each) => total + each.weights, 0);
  const zeros = layers.reduce((total, each) => total + each.zeros, 0);
  return section(2, named(baseName(model.path)),
    facts([
      ["Parameters", whole(model.parameters)], ["Weights", bytes(model.bytes)], ["Layers", whole(model.layers.length)],
      ["Tensors", whole(model.tensors.length)], ["Zeros of kernels", weights ? percent(zeros / weights) : null],
      ["Format", model.format], ["Keras", model.keras_version == null ? "not told" : short(model.keras_version, 20)],
      ["Optimizer", optimizerOf(model.optimizer)],
    ], "facts cards"),
    notesOf(model.notes), deadOf(model.dead), sparsityOf(layers), contentsOf(part, layers),
    part.difference ? differenceOf(part) : null, lineageOf(model.lineage, baseName(model.path)));
}

// In what a model differs from an earlier one.

function onlyIn(what, paths, where) {
  if (!paths.length) return null;
  const names = paths.slice(0, 200).map((path) => element("li", {}, named(path)));
  const more = paths.length > 200 ? [element("li", {}, `and ${whole(paths.length - 200)} more`)] : [];
  return element("details", {}, element("summary", {}, `${counted(paths.length, what)} only ${where}`), element("ul", {}, names, more));
}

function settingsTable(found) {
  const settings = [...found.settings, ...found.optimizer, ...found.training];
  if (!settings.length) return null;
  return section(4, "Settings", dataTable({
    label: "Settings that differ", noun: ["setting", "settings"], rows: settings,
    columns: [
      textColumn("Layer", (row) => row.layer || "the model"),
      textColumn("Setting", (row) => row.key || "settings"),
      textColumn("Before", (row) => JSON.stringify(row.old)),
      textColumn("Now", (row) => JSON.stringify(row.new)),
    ],
  }));
}

/** Returns the share of the values of a tensor that differ; all of them where shapes differ. */
function changedShare(row) {
  return row.values ? row.values.changed / (sizeOf(row.shapes[0]) || 1) : row.has_same_bytes ? 0 : 1;
}

function differenceOf(part) {
  const found = part.difference;
  const all = [...found.tensors, ...found.slots];
  const rows = all.filter((row) => !row.has_same_bytes);
  const number = (label, key, show) => numberColumn(label, (row) => row.values?.[key], show);
  const table = rows.length === 0 ? null : dataTable({
    label: "Tensors that differ", noun: ["tensor", "tensors"], rows,
    columns: [
      textColumn("Tensor", "path"),
      numberColumn("Changed", changedShare, bar),
      number("Largest", "largest"), number("RMS", "rms"), number("Relative", "relative"), number("Cosine", "cosine"),
      number("Sign flips", "sign_flips", whole), number("Zeros gained", "zeros_gained", whole), number("Zeros lost", "zeros_lost", whole),
    ],
    detail: (row) => element("div", { class: "detail-in" },
      facts([
        ["Path", row.other_path === row.path ? named(row.path, 500) : [named(row.path, 300), ", now ", named(row.other_path, 300)]],
        ["Shape", [...new Set(row.shapes.map(shapeOf))].join(", now ")],
        ["Type", [...new Set(row.dtypes)].join(", now ")],
        ["Zeros before", whole(found.zeros[row.path])],
      ]),
      found.histograms[row.path] || part.histograms[row.other_path]
        ? histogramOf(part.histograms[row.other_path], found.histograms[row.path]) : null),
  });
  const before = found.models[0];
  return section(3, "Differences",
    element("p", {}, "Before: ", named(before), ". ", found.equal
      ? "Both models are equal."
      : `${counted(rows.length, "tensor")} of ${whole(all.length)} that both models have ${rows.length === 1 ? "differs" : "differ"}.`),
    onlyIn("layer", found.layers_removed, "before"), onlyIn("layer", found.layers_added, "now"),
    onlyIn("tensor", [...found.tensors_removed, ...found.slots_removed], "before"),
    onlyIn("tensor", [...found.tensors_added, ...found.slots_added], "now"),
    table, settingsTable(found), notesOf(found.notes));
}

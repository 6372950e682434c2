// Many models: a table of them.

/** Returns the folder that all paths are in, with the slash at its end; nothing if there is none. */
function commonFolder(paths) {
  let common = paths[0] ?? "";
  for (const each of paths) while (!each.startsWith(common)) common = common.slice(0, -1);
  return common.slice(0, common.lastIndexOf("/") + 1);
}

function zooOf(part, idOfPart) {
  const folder = commonFolder(part.models.map((row) => row.path));
  const isRead = (row) => row.error == null;
  const failed = part.models.filter((row) => !isRead(row)).length;
  const total = part.models.reduce((sum, row) => sum + (row.parameters ?? 0), 0);
  const table = dataTable({
    label: "Models", noun: ["model", "models"], rows: part.models,
    filters: [
      { label: "Format", values: (row) => [row.format ?? "cannot be read"] },
      { label: "Keras", values: (row) => (isRead(row) ? [row.keras_version ?? "not told"] : []) },
      { label: "Layer", values: (row) => Object.keys(row.classes ?? {}) },
      { label: "Optimizer", values: (row) => (isRead(row) ? [row.optimizer ?? "none"] : []) },
      { label: "Operation", values: (row) => [...new Set(row.operations ?? [])] },
    ],
    columns: [
      textColumn("Model", (row) => row.path.slice(folder.length)),
      textColumn("Format", (row) => row.format ?? "cannot be read"),
      textColumn("Keras", "keras_version", 20),
      numberColumn("Layers", "layers", whole),
      numberColumn("Parameters", "parameters", whole),
      numberColumn("Size", "bytes", bytes),
      numberColumn("Zeros of kernels", (row) => (row.prunable ? row.zeros / row.prunable : null), bar),
      textColumn("Optimizer", "optimizer", 30),
      numberColumn("Step", "step", whole),
      textColumn("Operations", (row) => row.operations?.join(", ") || null, 40),
    ],
    detail: (row) => element("div", { class: "detail-in" }, facts([
      ["File", named(row.path, 500)],
      ["Reason", isRead(row) ? null : named(row.error, 500)],
      ["Layers", row.classes && named(Object.entries(row.classes).map(([name, count]) => `${count} ${name}`).join(", "), 300)],
      ["Tensors", row.tensors == null ? null : whole(row.tensors)],
      ["Operations", row.operations?.length ? named(row.operations.join(", "), 300) : null],
      ["Notes", row.notes ? whole(row.notes) : null],
      ["On this page", row.part == null ? null : element("a", { href: "#" + idOfPart(row.part) }, "Layers, tensors and lineage")],
    ])),
  });
  return section(2, "Models",
    facts([
      ["Folder", folder && named(folder)], ["Models", whole(part.models.length)], ["Parameters", whole(total)], ["Cannot be read", failed ? whole(failed) : null],
    ], "facts cards"), table);
}

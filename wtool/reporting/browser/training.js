// Trainings: curves of an experiment's arms, and of logs.

const COLOURS = 8;
const DENSE = "dense";

/** Returns the class of the colour of each name; the dense network is grey. */
function stylesOf(names) {
  const others = names.filter((each) => each !== DENSE);
  return new Map(names.map((each) => [each, each === DENSE ? "grey" : `c${others.indexOf(each) % COLOURS}`]));
}

/** Returns words for a metric: `loss, validation`. */
function metricName(metric) {
  if (metric === "early_stop") return "epoch of lowest validation loss";
  const base = metric.startsWith("val_") ? metric.slice(4) : metric;
  return short(base.replaceAll("_", " "), 40) + (metric === "early_stop" ? "" : metric.startsWith("val_") ? ", validation" : ", training");
}

/** Returns a metric as it is on validation data, where there is such a one. */
function validated(metric, metrics) {
  return metrics.includes("val_" + metric) ? "val_" + metric : metric;
}

function pointsOf(curve) {
  return curve.epochs.map((x, number) => ({ x, y: curve.mean[number], spread: curve.std?.[number] ?? 0 }));
}

/** Returns switches for curves; each has the colour of its curve. `act` gets the names that are switched on. */
function switches(label, names, act) {
  const on = new Set(names), styles = stylesOf(names);
  const buttons = names.map((name) => {
    const button = element("button", { type: "button", class: `switch ${styles.get(name)}`, "aria-pressed": "true", click: () => {
      on[on.has(name) ? "delete" : "add"](name);
      button.setAttribute("aria-pressed", String(on.has(name)));
      act(on);
    } }, element("span", { class: "swatch" }), named(name, 40));
    return button;
  });
  return element("div", { class: "switches", role: "group", "aria-label": label }, buttons);
}

/** Returns a mean with its standard deviation, if there is one. */
function spreadOf(end) {
  if (end == null) return "";
  return real(end.mean) + (end.std == null ? "" : ` ± ${real(Number(end.std.toPrecision(2)))}`);
}

function runOf(part) {
  const names = part.arms.map((arm) => arm.name);
  const styles = stylesOf(names);
  const rounds = [...new Set(part.arms.flatMap((arm) => arm.rounds.map((each) => each.round)))].filter(Boolean).sort((a, b) => a - b);
  const measured = part.metrics.filter((each) => each !== "early_stop");
  let metric = validated(part.score, part.metrics), chosen = "last", on = new Set(names);
  const place = element("div", { class: "charts" });

  function styled(arm, more) {
    return { name: arm.name, style: styles.get(arm.name), dashed: arm.name === DENSE, ...more };
  }

  function draw() {
    const arms = part.arms.filter((arm) => on.has(arm.name));
    const ends = arms.map((arm) => styled(arm, { points: arm.rounds
      .filter((each) => each.ends[metric] && each.remaining > 0)
      .map((each) => ({ x: each.remaining, y: each.ends[metric].mean, spread: each.ends[metric].std ?? 0 }))
      .sort((left, right) => right.x - left.x) }));
    const places = ends.flatMap((each) => each.points.map((point) => point.x));
    for (const each of ends) {
      if (each.dashed) each.points = each.points.flatMap((point) => [point, { ...point, x: Math.min(...places) }]);
    }
    const learning = arms.flatMap((arm) => arm.rounds
      .filter((each, number) => chosen === "all" || each.round === 0 || (chosen === "last" ? number === arm.rounds.length - 1 : each.round === Number(chosen)))
      .filter((each) => each.curves[metric]?.epochs.length)
      .map((each) => styled(arm, { name: arm.rounds.length > 1 ? `${arm.name} ${each.round}` : arm.name, points: pointsOf(each.curves[metric]) })));
    const label = metricName(metric);
    place.replaceChildren(
      lineChart({ label: `${label} by the weights that remain`, yLabel: label + ", last epoch", xLabel: "remaining weights, %", curves: ends, reversed: true }),
      metric === "early_stop" ? "" : lineChart({ label: `${label} by epoch`, yLabel: label, xLabel: "epoch", curves: learning }));
  }

  draw();
  const rows = part.arms.flatMap((arm) => arm.rounds.map((each) => ({ arm: arm.name, ...each })));
  const table = dataTable({
    label: "Last epochs", noun: ["round", "rounds"], rows,
    columns: [
      textColumn("Arm", "arm"),
      numberColumn("Round", "round", whole),
      numberColumn("Remaining", "remaining", percent),
      numberColumn("Trials", "trials", whole),
      ...part.metrics.slice(0, 12).map((name) => ({
        ...numberColumn(metricName(name), (row) => row.ends[name]?.mean),
        cell: (row) => spreadOf(row.ends[name]),
      })),
    ],
  });
  return section(2, named(baseName(part.name)),
    facts([["Experiment", named(part.name)], ["Arms", whole(names.length)], ["Trials", whole(part.trials)]], "facts cards"),
    section(3, "Curves",
      element("div", { class: "tools" },
        selection("Metric", [...measured, ...part.metrics.filter((each) => each === "early_stop")].map((each) => [each, metricName(each)]), metric, (value) => { metric = value; draw(); }),
        rounds.length > 1 ? selection("Round", [["last", "last"], ...rounds.map((each) => [String(each), String(each)]), ["all", "all"]], chosen, (value) => { chosen = value; draw(); }) : null),
      switches("Arms", names, (found) => { on = found; draw(); }), place,
      part.trials > 1 ? quiet(`Means over ${part.trials} trials; bands are one standard deviation.`) : null),
    section(3, "Last epochs", table));
}

function logsOf(part) {
  const names = part.logs.map((log) => log.name);
  const bases = [...new Set(part.metrics.map((each) => each.replace(/^val_/, "")))];
  const styles = stylesOf(names);
  let metric = part.score, on = new Set(names);
  const place = element("div", { class: "charts" });

  function draw() {
    const curves = part.logs.flatMap((log) => (on.has(log.name) ? ["val_" + metric, metric] : [])
      .filter((each) => log.curves[each])
      .map((each) => ({ name: `${baseName(log.name)} ${each}`, style: styles.get(log.name), dashed: each === metric && Boolean(log.curves["val_" + metric]), points: pointsOf(log.curves[each]) })));
    const label = short(metric.replaceAll("_", " "), 40);
    place.replaceChildren(lineChart({ label: `${label} by epoch`, yLabel: label, xLabel: "epoch", curves }));
  }
  draw();
  return section(2, "Logs",
    element("div", { class: "tools" }, selection("Metric", bases.map((each) => [each, short(each.replaceAll("_", " "), 40)]), metric, (value) => { metric = value; draw(); })),
    switches("Logs", names, (found) => { on = found; draw(); }), place,
    quiet("Dashed lines are training where there is validation, too."));
}

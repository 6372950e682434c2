// Drawings: axes and lines.

const LINE = { width: 640, height: 300, left: 56, right: 12, top: 10, bottom: 40 };

/** Returns round numbers between two ends, about `count` of them. */
function ticks(low, high, count = 6) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough);
  if (!(step > 0)) return [low];
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, number) => (first + number) * step);
}

/** Returns the smallest and the largest of many numbers; nothing stands for 0 to 1. */
function extent(numbers) {
  let low = Infinity, high = -Infinity;
  for (const each of numbers) if (each != null) [low, high] = [Math.min(low, each), Math.max(high, each)];
  if (!(low <= high)) return [0, 1];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

function padded([low, high]) {
  return [low - (high - low) / 25, high + (high - low) / 25];
}

/** Returns the parts of a curve that have no gap in them: lists of points. */
function pieces(points) {
  const found = [[]];
  for (const each of points) each.x == null || each.y == null ? found.push([]) : found.at(-1).push(each);
  return found.filter((each) => each.length);
}

/**
 * Returns a drawing of curves, and words for the place that the pointer is at.
 *
 * curves: { name, style: class of the colour, dashed, points: [{ x, y, spread }] }.
 * reversed: whether x is a share on a logarithmic scale that falls to the right.
 */
function lineChart({ label, xLabel, yLabel, curves, reversed = false }) {
  const { width, height, left, right, top, bottom } = LINE;
  const points = curves.flatMap((curve) => curve.points);
  const xs = extent(points.map((each) => each.x));
  const ys = padded(extent(points.flatMap((each) => (each.y == null ? [] : [each.y - (each.spread ?? 0), each.y + (each.spread ?? 0)]))));
  const across = (value) => left + (width - left - right) * (reversed
    ? (Math.log(xs[1]) - Math.log(value)) / (Math.log(xs[1]) - Math.log(xs[0]))
    : (value - xs[0]) / (xs[1] - xs[0]));
  const up = (value) => height - bottom - (height - top - bottom) * (value - ys[0]) / (ys[1] - ys[0]);
  const at = (x, y) => `${across(x).toFixed(1)},${up(y).toFixed(1)}`;
  const xTicks = reversed
    ? [...new Set(points.map((each) => each.x))].sort((a, b) => b - a).filter(apart(across))
    : ticks(...xs).filter(Number.isInteger);
  const grid = [
    ...ticks(...ys).map((each) => drawn("g", {},
      drawn("line", { class: "grid", x1: left, x2: width - right, y1: up(each), y2: up(each) }),
      drawn("text", { x: left - 6, y: up(each) + 4, "text-anchor": "end" }, real(each)))),
    ...xTicks.map((each) =>
      drawn("text", { x: across(each), y: height - bottom + 16, "text-anchor": "middle" }, reversed ? real(100 * each) : whole(each))),
    drawn("text", { class: "axis", x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xLabel),
  ];
  const lines = curves.map((curve) => drawn("g", { class: curve.style },
    pieces(curve.points).flatMap((piece) => [
      piece.some((each) => each.spread) && piece.length > 1 && drawn("polygon", { class: "spread", points: [
        ...piece.map((each) => at(each.x, each.y + each.spread)),
        ...piece.toReversed().map((each) => at(each.x, each.y - each.spread))].join(" ") }),
      drawn("polyline", { class: curve.dashed ? "line dashed" : "line", points: piece.map((each) => at(each.x, each.y)).join(" ") }),
      piece.length < 12 && piece.map((each) => drawn("circle", { class: "dot", cx: across(each.x), cy: up(each.y), r: 3 })),
    ])));
  const cursor = drawn("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  const readout = element("p", { class: "readout" });
  const chart = picture("chart", [width, height], label, [...grid, ...lines, cursor]);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const place = (event.clientX - box.left) * width / box.width;
    let nearest = null;
    for (const each of points) {
      if (each.x != null && (nearest == null || Math.abs(across(each.x) - place) < Math.abs(across(nearest) - place))) nearest = each.x;
    }
    if (nearest == null) return;
    cursor.setAttribute("x1", across(nearest));
    cursor.setAttribute("x2", across(nearest));
    cursor.setAttribute("visibility", "visible");
    const told = curves.map((curve) => [curve.name, curve.points.find((each) => each.x === nearest)?.y]).filter(([, y]) => y != null);
    readout.textContent = `${reversed ? percent(nearest) : whole(nearest)}: ` +
      told.slice(0, 8).map(([name, y]) => `${short(name, 30)} ${real(y)}`).join(", ") + (told.length > 8 ? ", …" : "");
  });
  return element("figure", {}, element("figcaption", {}, yLabel), chart, readout);
}

/** Returns a filter that drops values whose places are too near to the last one that is kept. */
function apart(placeOf) {
  let last = -Infinity;
  return (each) => {
    const keeps = placeOf(each) - last > 44;
    if (keeps) last = placeOf(each);
    return keeps;
  };
}

// Histograms and masks of tensors.

const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BINS = { width: 360, height: 150, left: 8, right: 8, top: 8, bottom: 22 };

/** Returns a histogram in wider bins: bin i reaches from (first + i) * 2^exponent to (first + i + 1) * 2^exponent. */
function widened({ exponent, first, counts }, wider) {
  const factor = 2 ** (wider - exponent);
  const start = Math.floor(first / factor);
  const sums = new Array(Math.floor((first + counts.length - 1) / factor) - start + 1).fill(0);
  counts.forEach((count, number) => (sums[Math.floor((first + number) / factor) - start] += count));
  return { exponent: wider, first: start, counts: sums };
}

/** Returns a drawing of the values that are not zero: `now` as an area, and `before`, where there is one, as a line. */
function histogramOf(now, before) {
  const both = [now, before].filter(Boolean);
  if (!both.length) return quiet("No values other than zero.");
  const wider = Math.max(...both.map((each) => each.exponent));
  const [main, other] = [now, before].map((each) => each && widened(each, wider));
  const shown = [main, other].filter(Boolean);
  const first = Math.min(...shown.map((each) => each.first)), last = Math.max(...shown.map((each) => each.first + each.counts.length));
  const most = Math.max(...shown.flatMap((each) => each.counts));
  const { width, height, left, right, top, bottom } = BINS;
  const across = (bin) => left + (width - left - right) * (bin - first) / (last - first);
  const up = (count) => height - bottom - (height - top - bottom) * count / most;
  const steps = ({ first: start, counts }) => `M${across(start)} ${up(0)}` +
    counts.map((count, number) => `V${up(count).toFixed(1)}H${across(start + number + 1).toFixed(1)}`).join("") + `V${up(0)}`;
  const edge = (bin) => real(bin * 2 ** wider);
  const label = `Histogram from ${edge(first)} to ${edge(last)}; the fullest bin has ${counted(most, "value")}`;
  return element("figure", { class: "small" },
    element("figcaption", {}, other ? "Values other than zero; the line is the model before" : "Values other than zero"),
    picture("histogram", [width, height], label, [
      main && drawn("path", { class: "area", d: steps(main) + "Z" }),
      other && drawn("path", { class: "outline", d: steps(other) }),
      drawn("line", { class: "base", x1: left, x2: width - right, y1: up(0), y2: up(0) }),
      first < 0 && last > 0 && drawn("line", { class: "zero", x1: across(0), x2: across(0), y1: top, y2: up(0) }),
      drawn("text", { x: left, y: height - 6 }, edge(first)),
      drawn("text", { x: width - right, y: height - 6, "text-anchor": "end" }, edge(last)),
    ]));
}

/** Returns a drawing of a mask: dark where values are kept, the paler the more of a cell's values are zero. */
function maskOf({ rows, columns, zeros }) {
  const paths = new Map();
  for (let row = 0; row < rows; row++) {
    for (let start = 0, column = 0; column <= columns; column++) {
      const letter = zeros[row * columns + start];
      if (column < columns && zeros[row * columns + column] === letter) continue;
      paths.set(letter, (paths.get(letter) ?? "") + `M${start} ${row}h${column - start}v1h${start - column}z`);
      start = column;
    }
  }
  const cells = [...paths].filter(([letter]) => letter !== LEVELS.at(-1)).map(([letter, d]) =>
    drawn("path", { d, "fill-opacity": (1 - 0.8 * LEVELS.indexOf(letter) / (LEVELS.length - 1)).toFixed(3) }));
  return element("figure", { class: "small" },
    element("figcaption", {}, "Kept values; the last axis goes across, all others down"),
    picture("mask", [columns, rows], `Mask, ${rows} by ${columns} cells`, cells, { preserveAspectRatio: "none" }));
}

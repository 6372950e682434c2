"use strict";
// Texts and numbers as people read them. Texts come from files of strangers.

const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Returns a text without characters that cannot be seen or that turn the direction of writing: they are escaped. */
function visible(text) {
  return String(text).replace(UNSEEN, (each) => "\\u" + each.codePointAt(0).toString(16).padStart(4, "0"));
}

/** Returns a visible text of at most `most` characters; the middle of a longer one is left out. */
function short(text, most = 56) {
  const letters = Array.from(visible(String(text).slice(0, 20000)));
  if (letters.length <= most) return letters.join("");
  const end = Math.ceil((most - 1) / 2);
  return letters.slice(0, most - 1 - end).join("") + "…" + letters.slice(-end).join("");
}

/** Returns the last part of a path. */
function baseName(path) {
  return path === "-" ? "standard input" : String(path).replace(/[/\\]+$/, "").split(/[/\\]/).pop();
}

function whole(number) {
  return number == null ? "" : WHOLE.format(number);
}

/** Returns a number to four digits, in powers of ten where it is very large or very small. */
function real(number) {
  if (number == null) return "";
  const size = Math.abs(number);
  const text = number !== 0 && (size < 1e-4 || size >= 1e6) ? number.toExponential(3) : number.toPrecision(4);
  return text.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
}

function percent(share) {
  return share == null ? "" : (100 * share).toFixed(1) + " %";
}

/** Returns a size in bytes, kB, MB and so on, a thousand of each in the next. */
function bytes(number) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) [number, unit] = [number / 1000, unit + 1];
  return (unit ? number.toPrecision(3) : number) + " " + units[unit];
}

function counted(number, one, many = one + "s") {
  return whole(number) + " " + (number === 1 ? one : many);
}

function shapeOf(shape) {
  return shape.length ? shape.join(" × ") : "scalar";
}

function sizeOf(shape) {
  return shape.reduce((product, each) => product * each, 1);
}

// Tables that are searched, filtered, sorted and opened, a page of rows at a time.

const ROWS = 100;
const PRINTED = 1000;
const ORDER = new Intl.Collator("en", { numeric: true });

/** Compares values for sorting: numbers by size, texts with numbers in them as people do; nothing comes last. */
function compared(left, right, way) {
  if (left == null || right == null) return (left == null) - (right == null);
  return way * (typeof left === "number" && typeof right === "number" ? left - right : ORDER.compare(left, right));
}

/** Returns a function of a row: the one that is given, or that of the row's value under a key. */
function readerOf(key) {
  return typeof key === "function" ? key : (row) => row[key];
}

/** Returns a column of texts, or of nothing; `key` is one of `readerOf`. */
function textColumn(label, key, most) {
  const value = readerOf(key);
  return { label, value, cell: (row) => named(value(row) ?? "", most) };
}

/** Returns a column of numbers, which `show` turns into what is shown; `key` is one of `readerOf`. */
function numberColumn(label, key, show = real) {
  const value = readerOf(key);
  return { label, number: true, value, cell: (row) => (value(row) == null ? "" : show(value(row))) };
}

/**
 * Returns a table.
 *
 * label: its name. rows: any values. noun: what a row is, in singular and plural.
 * columns: { label, value: row -> what is sorted and searched, cell: row -> content, number: whether numbers line up }.
 * filters: { label, values: row -> list of texts }.
 * detail: row -> content of an opened row; without it, rows do not open.
 */
function dataTable({ label, rows, noun, columns, filters = [], detail }) {
  const chosen = new Map();
  const opened = new Set();
  const texts = new Map();
  let words = [], sorted = null, way = 1, page = 0, size = ROWS;
  const body = element("tbody");
  const count = element("p", { class: "count", role: "status" });
  const heads = columns.map(head);
  const back = element("button", { type: "button", click: () => turn(-1) }, "Previous");
  const forth = element("button", { type: "button", click: () => turn(1) }, "Next");
  const pages = element("div", { class: "pages" }, back, forth);
  const search = element("input", { type: "search", input: () => narrow(() => (words = split(search.value))) });
  let found = rows;

  function head(column) {
    const button = element("button", { type: "button", click: () => sortBy(column) }, column.label);
    return element("th", { scope: "col", class: column.number ? "number" : null }, button);
  }

  function split(text) {
    return text.toLowerCase().split(/\s+/).filter(Boolean);
  }

  function textOf(row) {
    if (!texts.has(row)) texts.set(row, columns.map((each) => each.value(row) ?? "").join("\n").toLowerCase());
    return texts.get(row);
  }

  function sortBy(column) {
    way = sorted === column ? -way : column.number ? -1 : 1;
    sorted = column;
    heads.forEach((each, number) => {
      if (columns[number] === column) each.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else each.removeAttribute("aria-sort");
    });
    narrow();
  }

  function narrow(change) {
    change?.();
    page = 0;
    found = rows.filter((row) =>
      words.every((word) => textOf(row).includes(word)) &&
      [...chosen].every(([filter, value]) => !value || filter.values(row).includes(value)));
    if (sorted) {
      const keys = new Map(found.map((row) => [row, sorted.value(row)]));
      found.sort((left, right) => compared(keys.get(left), keys.get(right), way));
    }
    draw();
  }

  function turn(step) {
    page += step;
    draw();
    scroller.scrollIntoView({ block: "nearest" });
  }

  function draw() {
    const from = page * size, shown = found.slice(from, from + size);
    body.replaceChildren(...shown.flatMap(drawRow));
    const told = found.length === rows.length ? "" : ` of ${whole(rows.length)}`;
    const part = shown.length < found.length ? `${whole(from + 1)} to ${whole(from + shown.length)} of ` : "";
    count.textContent = part + whole(found.length) + told + " " + (rows.length === 1 ? noun[0] : noun[1]);
    back.disabled = page === 0;
    forth.disabled = from + size >= found.length;
    pages.hidden = found.length <= size;
  }

  function drawRow(row) {
    const cells = columns.map((column, number) => {
      const content = column.cell(row);
      if (number) return element("td", { class: column.number ? "number" : null }, content);
      return element("th", { scope: "row" }, detail ? opener(row, content) : content);
    });
    const line = element("tr", {}, cells);
    return opened.has(row) ? [line, detailOf(row)] : [line];
  }

  function opener(row, content) {
    const button = element("button", { type: "button", class: "opener", keydown: walk }, content);
    button.setAttribute("aria-expanded", String(opened.has(row)));
    button.addEventListener("click", () => {
      const line = button.closest("tr"), opens = !opened.has(row);
      if (opens) line.after(detailOf(row));
      else line.nextElementSibling.remove();
      opened[opens ? "add" : "delete"](row);
      button.setAttribute("aria-expanded", String(opens));
    });
    return button;
  }

  function detailOf(row) {
    return element("tr", { class: "detail" }, element("td", { colspan: columns.length }, detail(row)));
  }

  /** The arrow keys go from row to row. */
  function walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const all = [...body.querySelectorAll(".opener")];
    all[all.indexOf(event.currentTarget) + step]?.focus();
    event.preventDefault();
  }

  const lists = filters.map((filter) => {
    const values = [...new Set(rows.flatMap(filter.values))].sort(ORDER.compare);
    if (values.length < 2) return null;
    const options = [["", "all"], ...values.slice(0, 300).map((each) => [each, short(each, 40)])];
    return selection(filter.label, options, "", (value) => narrow(() => chosen.set(filter, value)));
  });
  const table = element("table", {}, element("caption", { class: "unseen" }, label),
    element("thead", {}, element("tr", {}, heads)), body);
  const scroller = element("div", { class: "scroll", role: "group", "aria-label": label, tabindex: 0 }, table);
  for (const [event, most] of [["beforeprint", PRINTED], ["afterprint", ROWS]]) {
    addEventListener(event, () => {
      [size, page] = [most, 0];
      draw();
    });
  }
  narrow();
  const tools = element("div", { class: "tools" },
    element("label", { class: "field" }, element("span", {}, "Search"), search), lists, count, pages);
  return element("div", { class: "data" }, tools, scroller);
}

// The page: its parts, the way to them, and light or dark.

const MAKERS = { model: modelOf, models: zooOf, run: runOf, logs: logsOf };

function titleOf(part) {
  if (part.kind === "model") return baseName(part.model.path);
  if (part.kind === "models") return counted(part.models.length, "model");
  return part.kind === "run" ? baseName(part.name) : counted(part.logs.length, "log");
}

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const idOfPart = (number) => `show-${number}`;
  const titles = data.parts.map(titleOf);
  document.title = short(titles[0] ?? "Nothing", 60) + " – wtool report";
  const theme = choice("Colours", ["Auto", "Light", "Dark"], "Auto", (word) => (document.documentElement.dataset.theme = word.toLowerCase()));
  const links = data.parts.map((_, number) => element("a", { href: "#" + idOfPart(number) }, named(titles[number], 32)));
  const main = element("main", { id: "main" }, data.parts.map((part, number) =>
    element("article", { id: idOfPart(number) }, MAKERS[part.kind](part, idOfPart))));
  document.body.append(
    element("a", { class: "skip", href: "#main" }, "To the contents"),
    element("header", {}, element("h1", {}, "wtool report"), theme),
    data.parts.length > 1 ? element("nav", { "aria-label": "Parts" }, links) : "",
    main,
    element("footer", {}, `Made by wtool ${data.wtool}. This page loads nothing from elsewhere.`));
  for (const { parentElement } of document.querySelectorAll(".lineage")) parentElement.scrollLeft = (parentElement.scrollWidth - parentElement.clientWidth) / 2;
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey) return;
    document.querySelector("input[type=search]")?.focus();
    event.preventDefault();
  });
  addEventListener("hashchange", openTarget);
  openTarget();
}

/** Opens the record of the lineage that a link leads to. */
function openTarget() {
  const details = document.getElementById(location.hash.slice(1))?.querySelector(":scope > details");
  if (details) details.open = true;
}

start();

"""Pages in a browser: what people see, click and type, with the network off."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests.models import BLOBS, FIXTURES
from tests.plotting.experiments import lines, written
from tests.reporting.pages import HOSTILE, weights_of
from wtool.reporting.page import page_of

pytestmark = pytest.mark.slow  # a few seconds together

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)

ZOO = FIXTURES / "zoo"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 400, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=as_root)
        yield opened
        opened.close()


class Shown:
    """A page in the browser, with what it asked for and what went wrong in it."""

    def __init__(self, browser: Any, path: Path, **how: Any) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, "offline": True, **how})
        self.page = self.context.new_page()
        self.page.set_default_timeout(4000)
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("dialog", lambda dialog: self.troubles.append(dialog.message) or dialog.dismiss())
        self.page.goto(path.as_uri())
        self.address = path.as_uri()

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.page.locator(selector).all_inner_texts()
        return found

    def drawn(self, selector: str) -> list[str]:
        """Texts in drawings."""
        found: list[str] = self.page.locator(selector).all_text_contents()
        return found

    def close(self) -> None:
        assert self.requests == [self.address]
        assert self.troubles == []
        self.context.close()


@pytest.fixture
def show(browser: Any) -> Iterator[Any]:
    shown: list[Shown] = []

    def opened(path: Path, **how: Any) -> Shown:
        shown.append(Shown(browser, path, **how))
        return shown[-1]

    yield opened
    for each in shown:
        each.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name of a page -> the page."""
    folder = tmp_path_factory.mktemp("pages")
    wtool.average(BLOBS, output=folder / "average.keras")
    wtool.prune(folder / "average.keras", sparsity=0.6, output=folder / "pruned.keras")
    run = written(folder / "RUN", lines(trials=3, epochs=4))
    (folder / "log.csv").write_text(
        "epoch,loss,val_loss\n" + "".join(f"{n},{2 / (n + 1)},{3 / (n + 1)}\n" for n in range(9))
    )
    (folder / "broken.keras").write_bytes(b"PK no model")
    layers = {name: {"kernel": np.eye(3, dtype=np.float32)} for name in HOSTILE}
    asked: dict[str, tuple[Any, dict[str, Any]]] = {
        "model": (folder / "pruned.keras", {"against": folder / "average.keras"}),
        "zoo": ([ZOO / "k3.6.0", ZOO / "k3.15.1", folder / "pruned.keras", folder / "broken.keras"], {}),
        "few": ([*BLOBS[:2], folder / "pruned.keras"], {}),
        "run": ([run, folder / "log.csv"], {}),
        "hostile": (weights_of(folder / "<b>hostile.h5", layers), {}),
    }
    for name, (models, how) in asked.items():
        wtool.report(models, output=folder / f"{name}.html", **how)
    return {name: folder / f"{name}.html" for name in asked}


def made(folder: Path, **data: Any) -> Path:
    path = folder / "made.html"
    path.write_text(page_of({"wtool": "0", **data}))
    return path


LAYERS = "section:has(> h3:text('Layers and tensors'))"


def test_a_model_and_its_facts(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    assert shown.page.title() == "pruned.keras – wtool report"
    told = dict(zip(shown.texts(".cards dt"), shown.texts(".cards dd"), strict=True))
    assert told["Parameters"] == "153"
    assert told["Zeros of kernels"] == "60.0 %"
    assert shown.texts(f"{LAYERS} tbody th") == ["hidden", "output"]


def test_sorting(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    shown.page.get_by_role("button", name="Tensors", exact=True).click()
    head = shown.page.locator(f"{LAYERS} thead th", has_text="Values")
    expected = sorted(((50, "hidden/kernel"), (25, "hidden/bias"), (75, "output/kernel"), (3, "output/bias")))
    for way, names in (("descending", expected[::-1]), ("ascending", expected)):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == way
        assert shown.texts(f"{LAYERS} tbody th") == [name for _, name in names]
    shown.page.locator(f"{LAYERS} thead th", has_text="Tensor").get_by_role("button").click()
    assert head.get_attribute("aria-sort") is None
    assert shown.texts(f"{LAYERS} tbody th") == sorted(name for _, name in expected)


def test_search_and_filters(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["zoo"])
    everything = len(shown.texts("tbody tr"))
    shown.page.get_by_label("Search").fill("k3.6.0 EMA")
    names = shown.texts("tbody th")
    assert 0 < len(names) < everything
    assert all("ema" in name and "k3.6.0" in name for name in names)
    shown.page.get_by_label("Format").select_option("h5")
    assert [name for name in names if name.endswith("ema_adamw.h5")] == shown.texts("tbody th")
    shown.page.get_by_label("Search").fill("")
    shown.page.get_by_label("Format").select_option("cannot be read")
    assert len(shown.texts("tbody th")) == 1
    assert shown.texts(".count") == [f"1 of {everything} models"]
    shown.page.locator(".opener").click()
    assert "Reason" in shown.texts(".detail dt")


def test_an_opened_tensor(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    opener = shown.page.locator(f"{LAYERS} .opener", has_text="hidden")
    assert opener.get_attribute("aria-expanded") == "false"
    opener.click()
    assert opener.get_attribute("aria-expanded") == "true"
    detail = shown.page.locator(f"{LAYERS} .detail")
    assert detail.locator(".histogram").count() == 2
    mask = detail.locator(".mask")
    assert mask.get_attribute("aria-label") == "Mask, 2 by 25 cells"
    kept = mask.evaluate("each => each.querySelector('path').getAttribute('d').match(/h(\\d+)v/g).join()")
    assert sum(int(run[1:-1]) for run in kept.split(",")) == 20
    opener.click()
    assert detail.count() == 0


def test_the_keyboard_is_enough(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    keys = shown.page.keyboard
    keys.press("/")
    assert shown.page.evaluate("document.activeElement.type") == "search"
    keys.type("hid")
    assert shown.texts(f"{LAYERS} tbody th") == ["hidden"]
    for _ in range(3):
        keys.press("Backspace")
    shown.page.locator(f"{LAYERS} .opener").first.focus()
    keys.press("ArrowDown")
    keys.press("Enter")
    assert shown.page.locator(f"{LAYERS} [aria-expanded=true]").inner_text() == "output"
    keys.press("ArrowUp")
    assert shown.page.evaluate("document.activeElement.innerText") == "hidden"
    keys.press("Tab")
    assert shown.page.evaluate("document.activeElement.innerText") == "output"


def test_the_tab_key_reaches_all(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    wanted = shown.page.evaluate("document.querySelectorAll('button:enabled, input, select, summary, a[href]').length")
    reached: set[str] = set()
    for _ in range(wanted + 20):
        shown.page.keyboard.press("Tab")
        reached.add(
            shown.page.evaluate(
                "(window.all ??= [...document.querySelectorAll('button:enabled, input, select, summary, a[href]')])"
                ".indexOf(document.activeElement).toString()"
            )
        )
    assert len(reached - {"-1"}) == wanted


def test_the_lineage(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    titles = shown.drawn(".lineage .title")
    names = [path.name for path in BLOBS[:4]]
    assert sorted(titles) == sorted([*names, "and 6 more", "average", "average.keras", "prune", "pruned.keras"])
    shown.page.locator(".lineage a", has_text="prune").click()
    assert '"criterion": "large-final"' in shown.page.locator(".records details[open] pre").inner_text()


def test_differences(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"])
    part = "section:has(> h3:text('Differences'))"
    assert sorted(shown.texts(f"{part} tbody th")) == ["hidden/kernel", "output/kernel"]
    assert shown.texts(f"{part} tbody tr:first-child td")[0] == "60.0 %"
    shown.page.locator(f"{part} .opener").first.click()
    assert shown.page.locator(f"{part} .detail .outline").count() == 1


def test_arms_are_switched(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["run"])
    chart = shown.page.locator("#show-0 .chart").first
    assert chart.locator(".line").count() == 3
    arm = shown.page.locator("#show-0 .switch", has_text="rewind")
    arm.click()
    assert arm.get_attribute("aria-pressed") == "false"
    assert chart.locator(".line").count() == 2
    shown.page.locator("#show-0").get_by_label("Metric").select_option("early_stop")
    assert shown.page.locator("#show-0 .chart").count() == 1
    arm.click()
    shown.page.locator("#show-0").get_by_label("Metric").select_option("loss")
    shown.page.locator("#show-0").get_by_label("Round").select_option("all")
    assert shown.page.locator("#show-0 .chart").nth(1).locator(".line").count() == 7
    assert shown.page.locator("#show-1 .chart .line").count() == 2
    assert shown.page.locator("#show-1 .chart .dashed").count() == 1
    box = chart.bounding_box()
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert "rewind" in shown.page.locator("#show-0 .readout").first.inner_text()


def test_light_and_dark(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["model"], color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = shown.page.evaluate(colour)
    shown.page.get_by_role("button", name="Light").click()
    light = shown.page.evaluate(colour)
    assert (dark, light) == ("rgb(20, 23, 28)", "rgb(255, 255, 255)")
    shown.page.get_by_role("button", name="Auto").click()
    assert shown.page.evaluate(colour) == dark
    shown.page.emulate_media(media="print")
    assert shown.page.evaluate(colour) == light


def test_print_has_more_rows(show: Any, tmp_path: Path) -> None:
    rows = [{"path": f"m{number}.keras", "error": "is empty"} for number in range(1200)]
    shown = show(made(tmp_path, parts=[{"kind": "models", "models": rows}]))
    assert len(shown.texts("tbody tr")) == 100
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(shown.texts("tbody tr")) == 1000
    shown.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(shown.texts("tbody tr")) == 100


def test_names_of_strangers_are_text(show: Any, pages: dict[str, Path]) -> None:
    shown = show(pages["hostile"])
    assert shown.page.locator("img").count() == 0
    assert shown.page.locator("script").count() == 2
    names = shown.texts(f"{LAYERS} tbody th")
    assert names[0] == HOSTILE[0]
    assert names[2] == "<!--<script>"
    assert names[3] == "evil\\u202egnp.exe"
    assert names[4] == ("long" * 7)[:-1] + "…" + "long" * 7
    assert names[5:] == HOSTILE[5:]
    assert shown.page.title() == "<b>hostile.h5 – wtool report"
    for opener in shown.page.locator(f"{LAYERS} .opener").all():
        opener.click()
    assert shown.page.locator(".detail .histogram").count() == len(HOSTILE)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= WIDE["width"]


def test_hostile_words_in_a_lineage(show: Any, tmp_path: Path) -> None:
    """Lineage from strangers may hold any JSON."""
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    odd = [
        {"operation": "<script>alert(1)</script>", "inputs": "none", "parameters": deep, "of": {"a": 1}},
        {"operation": 3, "inputs": [None, 4, {"name": ["x"], "hash": {"y": None}, "as": "<i>"}], "result": "text"},
        {"inputs": [{"name": "-", "as": "__proto__"}] * 9, "parameters": None, "operation": None},
        *({"operation": f"step {number}", "inputs": [{"name": "a.keras"}]} for number in range(60)),
    ]
    model = {
        "path": "m.keras", "format": "keras", "keras_version": None, "parameters": 0, "bytes": 0, "layers": [],
        "tensors": [], "dead": [], "optimizer": None, "lineage": odd, "notes": ["<u>note</u>"] * 60,
    }  # fmt: skip
    part = {"kind": "model", "model": model, "kernels": [], "histograms": {}, "masks": {}}
    shown = show(made(tmp_path, parts=[part, {**part, "model": {**model, "lineage": odd[:3]}}]))
    assert shown.page.locator("script").count() == 2
    assert "The latest 40 of 63 records." in shown.texts("article:first-of-type .quiet")
    assert "<script>al…1)</script>" in "".join(shown.drawn("#show-1 .lineage .title"))


@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ["model", "zoo", "few", "run", "hostile"])
def test_nothing_sticks_out(show: Any, pages: dict[str, Path], name: str, view: dict[str, int]) -> None:
    shown = show(pages[name], viewport=view)
    if shown.page.locator(".opener").count():
        shown.page.locator(".opener").first.click()
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= view["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["model", "zoo", "few", "run", "hostile"])
def test_accessibility(show: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    shown = show(pages[name], color_scheme=scheme)
    if name == "zoo":
        shown.page.get_by_label("Search").fill("k3.6")
    for opener in shown.page.locator(".opener").all()[:2]:
        opener.click()
    found = axe.Axe().run(shown.page).response["violations"]
    assert not found, json.dumps(
        [(each["id"], [node["html"] for node in each["nodes"][:3]]) for each in found], indent=1
    )


def test_ten_thousand_models_are_quick(show: Any, tmp_path: Path) -> None:
    rows = [
        {
            "path": f"zoo/{number % 97}/model-{number}.keras", "format": "keras", "keras_version": f"3.{number % 9}.0",
            "parameters": number, "bytes": 4 * number, "layers": 5, "classes": {"Dense": 3, "Dropout": 2}, "tensors": 6,
            "prunable": number, "zeros": number // 2, "optimizer": "Adam", "step": number, "operations": ["prune"],
            "notes": 0,
        }
        for number in range(10_000)
    ]  # fmt: skip
    shown = show(made(tmp_path, parts=[{"kind": "models", "models": rows}]))
    assert len(shown.texts("tbody tr")) == 100
    timed = "const begin = performance.now(); const search = document.querySelector('[type=search]');" + (
        "search.value = 'model-99 3.5'; search.dispatchEvent(new Event('input'));"
        "document.querySelectorAll('thead button')[4].click(); performance.now() - begin"
    )
    assert shown.page.evaluate(timed) < 2000
    assert shown.texts("tbody th")[0] == "4/model-9995.keras"
    shown.page.get_by_label("Search").fill("")
    shown.page.get_by_role("button", name="Next").click()
    assert shown.texts(".count") == ["101 to 200 of 10,000 models"]


def test_five_thousand_tensors_are_quick(show: Any, tmp_path: Path) -> None:
    paths = [f"layer_{number // 2}/{role}" for number, role in enumerate(("kernel", "bias") * 2500)]
    numbers = {"bytes": 256, "zeros": 56, "sum": 8.0, "mean": 0.125, "std": 0.33, "min": 0.0, "max": 1.0}
    tensors = [
        {"path": path, "role": path.rpartition("/")[2], "layer": path.partition("/")[0], "class": "Dense",
         "trainable": True, "shape": [8, 8], "dtype": "float32", **numbers}
        for path in paths
    ]  # fmt: skip
    model = {
        "path": "large.keras", "format": "keras", "keras_version": "3.15.1", "parameters": 320_000, "bytes": 1_280_000,
        "layers": [{"name": path.partition("/")[0], "class": "Dense"} for path in paths[::2]], "tensors": tensors,
        "dead": [], "optimizer": None, "lineage": [], "notes": [],
    }  # fmt: skip
    part = {
        "kind": "model", "model": model, "kernels": paths[::2],
        "histograms": {path: {"exponent": -11, "first": 1, "counts": [1] * 64} for path in paths},
        "masks": {path: {"rows": 40, "columns": 40, "zeros": "A/" * 800} for path in paths[::2]},
    }  # fmt: skip
    shown = show(made(tmp_path, parts=[part]))
    shown.page.get_by_role("button", name="Tensors", exact=True).click()
    shown.page.get_by_label("Search").fill("layer_2499")
    shown.page.locator(".opener").first.click()
    assert shown.page.locator(".detail .mask").count() == 1
    assert shown.texts(".count") == ["2 of 5,000 tensors"]

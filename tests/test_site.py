"""The documentation as a site: it is built without a warning, fetches nothing, and can be searched."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from wtool.cli import COMMANDS, cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
WIDTH = 120


class Fetched(HTMLParser):
    """Collects the addresses that a browser fetches for a page without a click."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        key = "href" if tag == "link" else "src"
        if tag != "a":
            self.addresses += [value for name, value in attrs if name in (key, "srcset", "data", "poster") and value]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file(), page


@pytest.mark.slow
def test_pages_fetch_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert pages
    for page in pages:
        fetched = Fetched()
        fetched.feed(page.read_text())
        assert fetched.addresses
        assert not [each for each in fetched.addresses if re.match(r"\s*(\w+:)?//", each)], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?\s*(https?:)?//", style.read_text()), style


@pytest.mark.slow
def test_the_site_can_be_searched_also_from_the_disk(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    found = {each["location"].split("#")[0] for each in index["docs"]}
    assert found >= {str(page.relative_to(site)) for page in site.rglob("*.html") if page.name != "404.html"}
    assert (site / "search" / "search_index.js").is_file()
    assert "iframe-worker" in (site / "index.html").read_text()


@pytest.mark.slow
def test_search_works_in_a_browser_without_a_network(site: Path) -> None:
    browsers = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(offline=True).new_page()
        addresses: list[str] = []
        page.on("request", lambda request: addresses.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.keyboard.press("/")
        page.keyboard.type("lottery ticket")
        page.wait_for_selector(".md-search-result__item")
        browser.close()
    assert {address.partition(":")[0] for address in addresses} == {"file"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_not_longer_than_an_editor_is_wide(page: Path) -> None:
    assert not [line for line in prose(page.read_text()) if len(line) > WIDTH]


def prose(text: str) -> Iterator[str]:
    """The lines of a page but those of tables, of code, and of parts that a program writes."""
    text = re.sub(r"^<!-- .*?^<!-- .*?end -->", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    return (line for line in text.splitlines() if not line.startswith(("|", "    ")))


def test_the_readme_is_short_and_true() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 500
    assert all(f"    make {target} " in text for target in ("demo", "test"))
    (oldest,) = re.findall(r'^requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    pages = [text, (ROOT / "CONTRIBUTING.md").read_text(), (ROOT / "docs" / "index.md").read_text()]
    assert all(re.findall(r"Python (3\.\d+) or newer", page) == [oldest] for page in pages)


def test_the_picture_is_that_of_its_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "docs" / "picture.py", tmp_path / "picture.svg"], check=True)
    assert (tmp_path / "picture.svg").read_text() == (ROOT / "docs" / "assets" / "overview.svg").read_text()


def test_messages_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    texts = " ".join(text for path in sorted((ROOT / "wtool").rglob("*.py")) for text in texts_of(path))
    messages = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    assert len(messages) > 20
    parts = [part.strip(" ()") for message in messages for part in message.split("...")]
    assert not [part for part in parts if part not in texts]


def texts_of(path: Path) -> Iterator[str]:
    """The texts in the code of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def commands_of(text: str) -> Iterator[str]:
    """The commands of wtool in the code of a page: between backticks, in blocks that are run, and in indented lines."""
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"(?<!`)`(wtool [^`]+)`", text.replace("\n", " "))
    lines += re.findall(r"^    (wtool .*)", text, re.MULTILINE)
    for line in lines:
        yield from (part.strip() for part in re.split(r"[|;#]|&&", line) if part.strip().startswith("wtool "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_pages_have_the_options_that_pages_give_them(page: Path) -> None:
    unknown = []
    for command in commands_of(page.read_text()):
        name, *words = command.removeprefix("wtool ").split()
        if name not in COMMANDS:
            continue
        known = {option for each in _command(name).params for option in (*each.opts, *each.secondary_opts)} | {
            "-h",
            "--help",
        }
        given = [word.split("=")[0].strip(",.'\"()[]") for word in words if re.match(r"-{1,2}[a-zA-Z]", word)]
        unknown += [(command, word) for word in given if word not in known and not re.fullmatch(r"-\w\w+", word)]
    assert not unknown


def _command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found

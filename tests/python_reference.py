"""Writes the lists of `docs/reference/python.md` from signatures and docstrings (`make docs`)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import wtool

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "python.md"
LIST = re.compile(r"(<!-- python (functions|results|exceptions) -->\n).*?(<!-- end -->)", re.DOTALL)
PAGES = {
    "constant": "tickets", "cost": "inspect", "history_recipe": "history", "index": "zoo-index", "jitter": "tickets",
    "make_patch": "diff", "neuroplast": "stroke", "open_checkpoint": "", "randomize": "tickets", "replay": "history",
    "reshuffle": "tickets", "rewind": "tickets", "run_recipe": "run",
}  # fmt: skip
"""A function -> the page that tells of it, where that is another name than the function's; none, if empty."""


def page() -> str:
    """Returns the text of the page with its lists made anew."""
    made = {"functions": _functions, "results": _results, "exceptions": _exceptions}
    return LIST.sub(lambda found: f"{found[1]}\n{made[found[2]]()}\n\n{found[3]}", PAGE.read_text())


def _functions() -> str:
    rows = ["| function | returns | |", "|---|---|---|"]
    for name, function in _public(inspect.isroutine):
        first = next(iter(inspect.signature(function).parameters))
        returned = inspect.signature(function).return_annotation
        told = returned if isinstance(returned, str) else inspect.formatannotation(returned)
        result = re.sub(r"(\w+\.)+", "", told).replace("|", r"\|")
        target = PAGES.get(name, name)
        link = f"[`{name}({first}, ...)`]({target}.md)" if target else f"`{name}({first}, ...)`"
        rows.append(f"| {link} | `{result}` | {_summary(function)} |")
    return "\n".join(rows)


def _results() -> str:
    parts = []
    for name, kind in _public(inspect.isclass):
        if not issubclass(kind, BaseException):
            parts.append(f"### {name}\n\n{_summary(kind)}")
            attributes = list(_attributes(kind))
            if attributes:
                parts.append("\n".join(f"- `{each}`: {told}" for each, told in attributes))
    return "\n\n".join(parts)


def _exceptions() -> str:
    rows = ["| exception | base | |", "|---|---|---|"]
    for name, kind in _public(inspect.isclass):
        if issubclass(kind, BaseException):
            rows.append(f"| `{name}` | `{kind.__base__.__name__}` | {_summary(kind)} |")
    return "\n".join(rows)


def _public(chosen: object) -> Iterator[tuple[str, object]]:
    assert callable(chosen)
    pairs = ((name, getattr(wtool, name)) for name in sorted(wtool.__all__, key=str.lower))
    return ((name, each) for name, each in pairs if chosen(each))


def _summary(thing: object) -> str:
    return inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _attributes(kind: object) -> Iterator[tuple[str, str]]:
    section = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    for names, told in re.findall(r"^    (\w[\w, ]*): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        yield names.replace(", ", "`, `"), " ".join(told.split())


def main() -> None:
    """Write the lists."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()

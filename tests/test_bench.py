"""What `make bench` writes, and what it judges by. Nothing is timed here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "bench.md"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the benchmark, which are scripts beside each other."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "bench"))
    before = set(sys.modules)
    yield {name: importlib.import_module(name) for name in ("run", "report", "floor", "contenders", "work")}
    for name in set(sys.modules) - before:
        if str(ROOT / "tests" / "bench") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_each_part_is_a_module_with_a_place_in_the_page(bench: dict[str, ModuleType]) -> None:
    for name in bench["run"].PARTS:
        assert callable(importlib.import_module(name).report)
        assert PAGE.read_text().count(f"<!-- make bench, {name}: begin -->") == 1
    assert PAGE.read_text().count(": begin -->") == len(bench["run"].PARTS)


def test_a_part_is_written_between_its_marks_and_nowhere_else(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    report = bench["report"]
    page = tmp_path / "bench.md"
    page.write_text("a\n<!-- make bench, zoo: begin -->\nold\n<!-- make bench, zoo: end -->\nb\n")
    found = report.Report([report.table(["x", "s"], [["y", "1"]])], [report.at_most("speed", 1.5, 1.25)])
    report.publish("zoo", found, page)
    before, _, rest = page.read_text().partition("<!-- make bench, zoo: begin -->")
    inside, _, after = rest.partition("<!-- make bench, zoo: end -->")
    assert (before, after) == ("a\n", "\nb\n")
    assert "old" not in inside
    assert "| x | s |\n| --- | ---: |\n| y | 1 |" in inside
    assert "| speed | 1.50x | at most 1.25x | **fail** |" in inside
    with pytest.raises(SystemExit, match="start"):
        report.publish("start", found, page)


def test_the_floor_is_the_start_and_the_medians_of_the_rest_over_the_cores(
    bench: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    found = bench["floor"].Floor("average", 0.3, {"read": [0.1, 0.2, 9.0], "hash": [0.4, 0.4, 0.1]})
    assert found.seconds == pytest.approx(0.3 + (0.2 + 0.4) / 2)


def test_spread_shows_the_median_between_the_least_and_the_most(bench: dict[str, ModuleType]) -> None:
    assert bench["report"].spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"
    assert bench["report"].spread([0.5], 1) == "0.5"


def test_a_figure_that_was_not_measured_is_no_failure(bench: dict[str, ModuleType]) -> None:
    target = bench["report"].at_least("mergekit", None, 10)
    assert target.met
    assert target.row()[1] == "not measured"


def test_parts_of_the_work_are_told_for_each_turn(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.write_bytes(bytes(1 << 16))
    for operation in bench["work"].OPERATIONS:
        bench["work"].main([operation, str(tmp_path / "out"), str(tmp_path / "seconds"), str(model), "--smoke"])
        assert ("write and fsync" in (tmp_path / "seconds").read_text()) == (operation != "compare")
    assert (tmp_path / "out").stat().st_size == 1 << 16

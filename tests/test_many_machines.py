"""The simulation of many machines: the page holds what the script prints, and simple cases are what one calculates."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("many_machines", DOCS / "many_machines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table_of_the_script(script: ModuleType) -> None:
    page = (DOCS / "explanation" / "many-machines.md").read_text()
    _, _, rest = page.partition("<!-- many_machines.py: begin -->")
    assert rest.partition("<!-- many_machines.py: end -->")[0].split("\n") == ["", "", *script.lines(), "", ""]


def test_one_worker_takes_all_the_work(script: ModuleType) -> None:
    costs = script.Costs(per_batch=0.0, per_result=0.0, per_listing=0.0, wait=0.1, link=1e9, store=1e9)
    found = script.simulated(costs, 1000, 1e6, 1)
    each = costs.per_model + costs.per_byte * 1e6 + costs.wait + costs.moved * 1e6 / 1e9
    assert found.seconds == pytest.approx(1000 * each)
    assert found.limit == "workers"


def test_no_number_of_workers_beats_what_they_share(script: ModuleType) -> None:
    costs = script.Costs()
    for workers in (10, 1000):
        found = script.simulated(costs, 5000, 100e6, workers)
        assert found.seconds >= 5000 * 100e6 * costs.moved / costs.store
    assert found.limit == "store"
    slow = script.simulated(script.Costs(per_result=1.0, wait=0.0, store=1e15, link=1e15), 1000, 1e3, 100)
    assert slow.seconds == pytest.approx(1000, rel=0.01)
    assert slow.limit == "scheduler"


def test_batches_are_those_of_the_cluster(script: ModuleType) -> None:
    from wtool.run.executors import batches

    left, waiting, sizes = 3000, list(range(3000)), [1_000_000] * 3000
    mine = list(script.batches(3000, 1e6, 8))
    assert sum(mine) == left
    for count in mine:
        seconds = batches.seconds_of(1_000_000) * len(waiting)
        assert abs(count - batches.next_batch(waiting, sizes, seconds, 8)) <= 1
        del waiting[:count]

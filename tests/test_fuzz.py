"""A short run of the fuzzer, and what longer ones found."""

from __future__ import annotations

import pytest

import wtool
from tests.fuzz import SEEDS, case, run


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 400, 100))
def test_mutated_files_are_refused_or_processed(start: int) -> None:
    summary = run(0, range(start, start + 100))
    assert not summary.failures
    assert summary.counts["refused"] > 20
    assert summary.counts["accepted"] > 5


@pytest.mark.parametrize(("seed", "number"), [(7, 67357)])  # a line break in a name: messages had two lines
def test_what_longer_runs_found(seed: int, number: int) -> None:
    assert not run(seed, range(number, number + 1)).failures


def test_messages_are_one_line_whatever_names_a_file_has() -> None:
    error = wtool.Refused("lists a\nb\x1b[31m", "c\rd.h5")
    assert str(error) == "c\\rd.h5: lists a\\nb\\x1b[31m"


def test_cases_are_always_the_same() -> None:
    assert case(3, 14) == case(3, 14)
    assert len({case(3, number) for number in range(50)}) > 45
    assert {case(3, number)[0] for number in range(300)} == set(SEEDS)


def test_other_errors_than_refusals_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(wtool, "check", broken)
    summary = run(0, range(3))
    assert summary.counts["failed"] == 3
    assert "case 2 (" in summary.failures[2]
    assert "ZeroDivisionError: oh" in summary.failures[2]

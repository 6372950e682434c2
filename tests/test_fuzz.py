"""Short runs of the fuzzers, and what longer ones found."""

from __future__ import annotations

import pytest

import wtool
from tests.fuzz import KINDS, jobs
from tests.fuzzing import arrays, configurations, headers, jsons, packed, polyglots, zips
from tests.fuzzing.mutations import SEEDS, case, run
from wtool.checkpoint.layouts import keras_archive
from wtool.io import json_text, safetensors_header, zip_reader


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 400, 100))
def test_mutated_files_are_refused_or_processed(start: int) -> None:
    summary = run(0, range(start, start + 100))
    assert not summary.failures
    assert summary.counts["refused"] > 20
    assert summary.counts["accepted"] > 5


@pytest.mark.parametrize("start", [0, 100, 200])
def test_mutated_configurations_are_upgraded_or_refused(start: int) -> None:
    summary = configurations.run(0, range(start, start + 100))
    assert not summary.failures
    assert summary.counts["refused"] > 20
    assert summary.counts["accepted"] > 20


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
    assert "case 2: (" in summary.failures[2]
    assert "ZeroDivisionError: oh" in summary.failures[2]


# --- against second readers ---


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zips", "jsons", "headers", "polyglots"])
@pytest.mark.parametrize("start", [0, 100, 200])
def test_what_wtool_opens_others_read_alike(kind: str, start: int) -> None:
    summary = KINDS[kind][0](0, range(start, start + 100))
    assert not summary.failures
    assert summary.counts["refused"] > 20
    assert summary.counts["accepted"] > 5
    assert summary.counts["second readings"] >= summary.counts["accepted"]


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("start", [0, 100])
def test_arrays_are_those_that_keras_reads(start: int) -> None:
    assert set(arrays.stores()) == {"Keras", "tf_keras"}
    summary = arrays.run(0, range(start, start + 100))
    assert not summary.failures
    assert summary.counts["refused"] > 20
    assert summary.counts["accepted"] > 5


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("start", [0, 25])
def test_packed_arrays_are_those_that_keras_reads(start: int) -> None:
    summary = packed.run(0, range(start, start + 25))
    assert not summary.failures
    assert summary.counts["refused"] > 5
    assert summary.counts["accepted"] > 3


@pytest.mark.tensorflow
@pytest.mark.parametrize("number", [65, 90, 93, 112, 124, 158, 178, 181, 183])
def test_the_hdf5_library_reads_no_memory_of_its_own(number: int) -> None:
    """Chunks without their filters, keys that lead astray, a level that deflate lacks: the first run found these."""
    assert not packed.run(1, range(number, number + 1)).failures


def test_cases_of_every_kind_are_always_the_same() -> None:
    for _, make, _ in KINDS.values():
        assert make(3, 14) == make(3, 14)
        assert len({make(3, number) for number in range(30)}) > 15
    assert sum(len(numbers) for _, _, numbers in jobs(100_000, 1)) == 100_000


@pytest.mark.slow
def test_a_second_reading_that_differs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind finds what it is for, where wtool does not look."""
    monkeypatch.setattr(zip_reader, "check_names", lambda names, known: None)
    assert any("reads" in failure for failure in zips.run(0, range(150)).failures)
    monkeypatch.setattr(json_text, "_object", dict)
    assert any("the first of two keys" in failure for failure in jsons.run(0, range(400)).failures)
    monkeypatch.setattr(keras_archive, "_refuse_second_model", lambda *arguments: None)
    assert any("h5py finds" in failure for failure in polyglots.run(0, range(60)).failures)
    monkeypatch.setattr(safetensors_header, "_check_offsets", lambda header, size: None)
    assert any("the library reads" in failure for failure in headers.run(0, range(200)).failures)

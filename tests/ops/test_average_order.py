"""Orders that may be other ones than those meant are told, or refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.models import BLOBS
from wtool.ops.average_order import ordered


def named(folder: Path, *names: str, steps: bool = True) -> list[Path]:
    """Checkpoints of one run under these names, in the order of their step counts; or all at the same step."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BLOBS[number if steps else 0], folder / name)
    return [folder / name for name in names]


def notes_of(paths: list[Path], **options: object) -> list[str]:
    done = wtool.average(paths, dry_run=True, **options)  # type: ignore[arg-type]
    return [note for note in done.notes if "--order" in note or "order of the words" in note]


def test_plain_series_need_no_words(tmp_path: Path) -> None:
    for at, names in enumerate((["e1", "e2", "e10"], ["e001", "e002", "e010"], ["a", "b", "c"], ["e1-0.5", "e2-0.4"])):
        paths = named(tmp_path / str(at), *(f"{name}.keras" for name in names))
        for options in ({"linear": True}, {"last": 2}, {}, {"power": 1.0}):
            assert notes_of(paths, **options) == []


@pytest.mark.parametrize(
    ("names", "place"),
    [
        (("ckpt-1", "ckpt-9", "final"), "final.keras has no number in its name, and comes as the newest"),
        (("best", "ckpt-1", "ckpt-9"), "best.keras has no number in its name, and comes as the oldest"),
        (("a1", "b", "c1"), "b.keras has no number in its name, and comes as number 2 of 3"),
    ],
)
def test_names_without_a_number_are_told(names: tuple[str, ...], place: str, tmp_path: Path) -> None:
    named(tmp_path, *(f"{name}.keras" for name in names))
    for options in ({"linear": True}, {"last": 2}, {"decay": 0.9}):
        (note,) = notes_of([tmp_path], **options)
        assert place in note
    assert len(notes_of([tmp_path])) == ("newest" in place)  # of equal coefficients only the newest matters
    assert notes_of([tmp_path], linear=True, order="given") == []


@pytest.mark.parametrize(
    "names",
    [
        ("ckpt-0.41-02", "ckpt-0.52-01"),  # the loss comes before the epoch
        ("05-01-2024", "04-02-2024"),  # days come before months
    ],
)
def test_numbers_that_do_not_count_first_are_told(names: tuple[str, ...], tmp_path: Path) -> None:
    paths = named(tmp_path, *(f"{name}.keras" for name in names), steps=False)
    (note,) = notes_of(paths, linear=True, order="natural")
    assert "names differ in several numbers, and are in the order of the first one" in note
    assert notes_of(paths, order="natural") == []


def test_numbers_that_grow_together_are_plain(tmp_path: Path) -> None:
    paths = named(tmp_path, "e1-s100-0.5.keras", "e2-s200-0.4.keras", "e10-s1000-0.6.keras")
    assert notes_of(paths, linear=True) == []


def test_step_counts_that_say_otherwise_are_told(tmp_path: Path) -> None:
    paths = named(tmp_path, "z.keras", "a.keras")  # z is the older one
    for options in ({"linear": True}, {"alpha": 2.0}):
        assert any("z.keras with 364; see --order" in note for note in notes_of([tmp_path], **options))
    assert notes_of([tmp_path]) == []
    assert notes_of(paths, linear=True, order="given") == []


def test_coefficients_keep_the_order_of_the_words(tmp_path: Path) -> None:
    """Also where some words are folders, whose models come in natural order at the place of the word."""
    base, *_ = named(tmp_path, "z/base.keras", "run/e1.keras", "run/e2.keras", "run/e10.keras")
    done = wtool.average([base, tmp_path / "run"], coefficients=[4, 3, 2, 1], dry_run=True)
    assert [Path(each.path).name for each in done.inputs] == ["base.keras", "e1.keras", "e2.keras", "e10.keras"]
    assert any("coefficients in the order of the words" in note for note in done.warnings)
    assert set(done.warnings) <= set(done.notes)


def test_coefficients_of_a_folder_with_a_name_without_a_number_are_told(tmp_path: Path) -> None:
    paths = named(tmp_path, "ckpt-1.keras", "ckpt-2.keras", "final.keras")
    (warning,) = wtool.average([tmp_path], coefficients=[1, 2, 3], dry_run=True).warnings
    assert "final.keras has no number in its name, and comes as the newest" in warning
    assert wtool.average(paths, coefficients=[1, 2, 3], dry_run=True).warnings == ()  # typed in this order


def test_coefficients_of_a_part_that_a_shell_may_have_sorted_are_refused(tmp_path: Path) -> None:
    paths = named(tmp_path, "e1.keras", "e10.keras", "e2.keras", "best.keras")
    with pytest.raises(wtool.Usage, match="--order says which"):
        wtool.average(paths, coefficients=[1, 2, 3, 4], dry_run=True)
    assert wtool.average(paths, coefficients=[1, 2, 3, 4], order="given", dry_run=True).warnings == ()


@pytest.mark.parametrize("options", [["--coefficients", "1,3"], ["--linear"]])
def test_quiet_silences_all_but_the_order_of_coefficients(options: list[str], tmp_path: Path) -> None:
    named(tmp_path, "z.keras", "a.keras")
    words = ["average", "z.keras", "a.keras", *options, "-q", "-n"]
    done = subprocess.run(forkserver.wtool(*words), capture_output=True, cwd=tmp_path, check=True, text=True)
    if "--linear" in options:
        assert done.stderr == ""
    else:
        assert (
            done.stderr == "wtool: note: coefficients in the order of the words, not of the names: z.keras, a.keras\n"
        )


def test_equal_times_of_change_are_told(tmp_path: Path) -> None:
    paths = named(tmp_path, "b.keras", "a.keras")
    for path in paths:
        os.utime(path, (10**9, 10**9))
    notes = wtool.average(paths, order="mtime", dry_run=True).notes
    assert any("a.keras and" in note and "changed at the same time: ordered by name" in note for note in notes)


NAMES = st.lists(
    st.from_regex(r"[ab]?[0-9]{0,2}[-.]?[0-9]{0,3}\.h5", fullmatch=True), min_size=1, max_size=6, unique=True
)


@given(NAMES)
def test_no_order_goes_without_a_word(names: list[str]) -> None:
    """Coefficients stay with the words or are refused; any other order than the typed one is a shell's, or is told."""
    typed = [(name, name) for name in names]
    try:
        found = ordered(typed, None, "coefficients", matters=True)
    except wtool.Usage:
        pass
    else:
        assert found.paths == names
    by_name = ordered(typed, None, "linear", matters=True)
    assert sorted(by_name.paths) == sorted(names)
    assert by_name.paths == names or names == sorted(names) or by_name.notes
    assert ordered(typed, "given", "linear", matters=True).paths == names

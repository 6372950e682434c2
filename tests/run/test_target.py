"""Names of results: extensions that Keras opens, and what an output that is a folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from wtool.errors import Usage
from wtool.run.target import check_extension, is_folder, one_place, result_name, stem_and_ending


@pytest.mark.parametrize(
    ("output", "kind", "own"),
    [
        ("m.keras", "keras", ""), ("m.KERAS", "keras", ""), ("-", "keras", ""), ("m.bin", "keras", ""),
        ("m.h5", "h5", ""), ("m.keras", "h5", ".keras"),
        ("m.weights.json", "weights.json", ""), ("-", "weights.json", ""),
    ],
)  # fmt: skip
def test_extensions_that_fit(output: str, kind: str, own: str) -> None:
    check_extension(output, kind, own)


@pytest.mark.parametrize(
    ("output", "kind"), [("m.h5", "keras"), ("m.keras", "weights.h5"), ("m.bin", "weights.json"), ("m.H5", "keras")]
)
def test_extensions_that_keras_takes_for_another_format(output: str, kind: str) -> None:
    with pytest.raises(Usage, match=f"the format of its input, {kind}; its name has to end in"):
        check_extension(output, kind)


def test_names_of_results() -> None:
    assert result_name("out", "keras", "a.keras") == "out.keras"
    assert result_name("out", "h5", "a.keras") == "out.keras", "TensorFlow 2 called HDF5 so"
    assert result_name("out", "h5", "a.bin") == "out.h5"
    assert result_name("out", "keras", "-") == "out.keras"
    assert stem_and_ending("x/a.weights.h5") == ("x/a", ".weights.h5")


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "folder.d").mkdir()
    assert is_folder(str(tmp_path))
    assert is_folder("new/")
    assert not is_folder("new")
    assert not is_folder("-")
    assert stem_and_ending(f"{tmp_path}/folder.d/") == (f"{tmp_path}/folder.d", ".keras")
    assert stem_and_ending(f"{tmp_path}/folder.d/.") == (f"{tmp_path}/folder.d", ".keras")
    (tmp_path / "link").symlink_to(tmp_path / "folder.d")
    assert one_place(f"{tmp_path}/link", f"{tmp_path}/folder.d")
    assert not one_place(f"{tmp_path}/link", str(tmp_path))

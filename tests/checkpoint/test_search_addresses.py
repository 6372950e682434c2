"""Search of folders in stores: the same models, in the same order, with the same results as in a folder of the disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wtool.checkpoint.inputs import inside, models_of, natural_key, root_of
from wtool.checkpoint.opener import open_checkpoint
from wtool.checkpoint.search import listing, passed_by
from wtool.errors import Refused, Usage, WtoolError
from wtool.io import tree
from wtool.run.target import goals_of, is_folder

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

MEMORY = "memory://store/zoo"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    """Empty the store in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def put(*names: str, data: bytes = b"") -> None:
    system = fsspec.filesystem("memory")
    for name in names:
        system.pipe_file(f"/store/zoo/{name}", data)


MODELS = ["m.keras", "m2.keras", "m10.h5", "m.weights.h5", "M.HDF5", "s.safetensors", ".hidden.keras", "[x].keras"]
PARTS = ["config.json", "model.weights.h5", "metadata.json", "saved_model.pb", "w.weights.json", "w_00000.weights.h5"]
NAMES = st.sampled_from([*MODELS, *PARTS, "note.txt", ".cache", "a", "b2", "b10", "assets"])
TEXTS = {
    "config.json": b'{"class_name": "Functional"}',
    "w.weights.json": json.dumps({"weight_map": {"/a": ["w_00000.weights.h5"]}}).encode(),
}
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)
PATTERNS = ["/*", "/*.keras", "/**", "/**/*.keras", "/**/", "/b*/m*", "/[ab]*", "/.*", "/**/m.keras", "/*/*.keras"]
WORDS = st.sampled_from([*PATTERNS, "", "/", "/m.keras", "/a", "/[[]x].keras", "/[x].keras", "/a/**/*"])


@contextmanager
def both(paths: list[str]) -> Iterator[tuple[str, str]]:
    """The same files in a folder on the disk and in memory; a file in whose place a folder is wanted is left out."""
    folder = f"{tempfile.mkdtemp()}/zoo"
    Path(folder).mkdir()
    try:
        files = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
        for path in files:
            text = TEXTS.get(path.rpartition("/")[2], b"")
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, path).write_bytes(text)
            put(path, data=text)
        yield folder, MEMORY
    finally:
        shutil.rmtree(folder.removesuffix("/zoo"))
        forget()


def comparable(paths: list[str], word: str) -> bool:
    """Whether a word means the same in a store, where no folder is empty, and what is called like a model is a file."""
    is_folder_like_a_model = word == "/m.keras" and any(path.startswith("m.keras/") for path in paths)
    return bool(paths) and not is_folder_like_a_model


def answer(function: object, *words: object) -> object:
    """Returns what a function gives, or its error's type and text."""
    try:
        return function(*words)  # type: ignore[operator]
    except WtoolError as error:
        return type(error), str(error)


def named_alike(told: object, root: str) -> str:
    whole = re.sub(re.escape(root) + r"(?![\w])", "ROOT", repr(told))
    return re.sub(re.escape(root.rpartition("/")[0]) + r"(?![\w])", "ABOVE", whole)


@settings(max_examples=150, deadline=None)
@given(TREES, WORDS)
def test_words_mean_the_same_models(paths: list[str], word: str) -> None:
    assume(comparable(paths, word))
    with both(paths) as (here, there):
        local, remote = (named_alike(answer(models_of, root + word), root) for root in (here, there))
        assert local == remote


@settings(max_examples=100, deadline=None)
@given(TREES)
def test_a_listing_is_the_same(paths: list[str]) -> None:
    assume(paths)  # no folder of a store is empty
    with both(paths) as (here, there):
        found = [
            [(named_alike(each.path, root), each.kind, named_alike(each.of, root), each.is_hidden, each.is_folder)
             for each in listing(root)]
            for root in (here, there)
        ]  # fmt: skip
        assert found[0] == found[1]
        assert passed_by(here) == passed_by(there)


def aims(words: list[str], output: str | None) -> object:
    found = goals_of(words, output, "pruned")
    return [(model.path, goal.path, goal.below, goal.makes_folder) for model, goal in found]


@settings(max_examples=100, deadline=None)
@given(TREES, WORDS, st.sampled_from([None, "/out/", "/a/", "out", "elsewhere/"]))
def test_results_have_the_same_names(paths: list[str], word: str, output: str | None) -> None:
    assume(comparable(paths, word))
    with both(paths) as (here, there):
        told = []
        for root in (here, there):
            where = root + output if output is not None and output.startswith("/") else output
            told.append(named_alike(answer(aims, [root + word], where), root))
        assert told[0] == told[1]


def test_a_tree_is_kept_from_store_to_disk_and_back(tmp_path: Path) -> None:
    put("a/m.keras", "m2.keras", "m10.keras")
    found = {model.path: goal.path for model, goal in goals_of([f"{MEMORY}/"], f"{tmp_path}/new/", "pruned")}
    assert found == {
        f"{MEMORY}/a/m.keras": f"{tmp_path}/new/a/m.keras",
        f"{MEMORY}/m2.keras": f"{tmp_path}/new/m2.keras",
        f"{MEMORY}/m10.keras": f"{tmp_path}/new/m10.keras",
    }
    assert list(found) == sorted(found, key=natural_key)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "n.h5").touch()
    assert [goal.path for _, goal in goals_of([str(tmp_path)], "s3://new/", "pruned")] == ["s3://new/b/n.h5"]


def test_an_output_in_a_store_is_a_folder_by_its_slash_or_by_what_is_there() -> None:
    put("a/m.txt", "model/config.json", "model/model.weights.h5", data=TEXTS["config.json"])
    assert is_folder(f"{MEMORY}/new/")
    assert is_folder(f"{MEMORY}/a")
    assert is_folder(MEMORY)
    assert not is_folder(f"{MEMORY}/new")
    assert not is_folder(f"{MEMORY}/model")
    assert not is_folder(f"{MEMORY}/m.keras")


def test_names_that_lead_elsewhere_fail_alone(tmp_path: Path) -> None:
    bad = ["a/../m.keras", "a//m.keras", "a/./m.keras", "a\\m.keras", "m\x1b.keras", "m\udcff.keras"]
    put("good.keras", "../hidden.keras", *bad)
    goals = {model.path: goal for model, goal in goals_of([MEMORY], f"{tmp_path}/out/", "pruned")}
    assert goals.pop(f"{MEMORY}/good.keras").path == f"{tmp_path}/out/good.keras"
    assert len(goals) == len(bad)
    for path, goal in goals.items():
        assert goal.path == path
        assert goal.refused.startswith("its name ")
    assert not any(goal.refused for _, goal in goals_of([f"{MEMORY}/good.keras"], f"{tmp_path}/out/", "pruned"))
    in_place = {model.path: goal.refused for model, goal in goals_of([MEMORY], None, "pruned", in_place=True)}
    assert sum(map(bool, in_place.values())) == len(bad)


def test_names_that_no_address_can_have_are_passed_by() -> None:
    put("m.keras", "n::s3://other/x.keras")
    assert models_of(MEMORY) == [f"{MEMORY}/m.keras"]
    assert passed_by(MEMORY) == "1 file whose name no address can have"


def test_two_addresses_of_one_file_are_one() -> None:
    assert tree.one_place("memory://store/zoo/m.keras", "memory:///store/zoo/m.keras")
    assert not tree.one_place("memory://zoo/m.keras", "/zoo/m.keras")
    put("m.keras")
    found = goals_of([f"{MEMORY}/m.keras", "memory:///store/zoo/m.keras"], "new/", "pruned")
    assert [model.path for model, _ in found] == [f"{MEMORY}/m.keras"]
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    assert tree.one_place("simplecache::s3://zoo/m.keras", "s3://zoo/m.keras")
    assert not tree.one_place("s3://zoo//m.keras", "s3://zoo/m.keras")


def test_web_servers_list_no_folders() -> None:
    with pytest.raises(WtoolError, match="web server, which lists no folders; name the files"):
        models_of("https://localhost:1/zoo/")
    signed = "https://localhost:1/zoo/m.keras?X-Amz-Signature=secret*"
    assert models_of(signed) == [signed]
    [(_, goal)] = goals_of([signed], "out/", "pruned")
    assert goal.path == "out/m.keras"
    assert (root_of(signed, signed), inside(signed, signed)) == ("https://localhost:1/zoo", "m.keras")


def test_a_folder_without_models_says_what_is_there() -> None:
    put("readme.md", ".m.keras")
    with pytest.raises(
        WtoolError, match=r"^memory://store/zoo: a folder without models .*: 1 hidden file, 1 file that is no"
    ):
        models_of(MEMORY)
    with pytest.raises(WtoolError, match=r"^memory://nothing/: No such file or directory$"):
        models_of("memory://nothing/")
    with pytest.raises(WtoolError, match="no file matches this pattern"):
        models_of(f"{MEMORY}/*.h5")
    put("a/m.keras", "b/m.keras")
    with pytest.raises(Usage, match="would both become"):
        goals_of([f"{MEMORY}/a/m.keras", f"{MEMORY}/b/m.keras"], "out/", "pruned")


def test_a_local_search_imports_no_store(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "m.keras").touch()
    code = (
        "import sys; from wtool.run.target import goals_of; goals_of([sys.argv[1]], 'out/', 'x');"
        "print([name for name in sys.modules if name.split('.')[0] == 'fsspec' or 'io.remote' in name])"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert subprocess.run(words, capture_output=True, text=True, check=True, env=environment).stdout.strip() == "[]"


def test_models_of_tensorflow_are_converted_from_this_machine() -> None:
    put("saved/saved_model.pb", "saved/keras_metadata.pb", "m.keras")
    assert models_of(MEMORY, foreign=True) == [f"{MEMORY}/m.keras"]
    put("ckpt-1.index", data=bytes(40) + bytes.fromhex("57fb808b247547db"))
    for word in (f"{MEMORY}/saved", f"{MEMORY}/ckpt-1.index"):
        with pytest.raises(Refused, match="read from this machine alone; copy its files here"):
            open_checkpoint(word, foreign=True)

"""Models at addresses are opened like files: the same checkpoints, in a few requests for parts of the files."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.models import BLOBS, HOSTILE, ZOO
from tests.remote.s3 import S3
from tests.remote.web import Web
from wtool.checkpoint.opener import open_checkpoint

FILES = [path for path in sorted(ZOO.rglob("*")) if path.suffix in (".keras", ".h5")][::4]


def as_local(told: dict[str, Any], path: Path) -> dict[str, Any]:
    return {**told, "path": str(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ZOO)))
def test_inspect_tells_what_it_tells_of_a_file(web: Web, path: Path) -> None:
    address = web.put(path.name, path.read_bytes())
    assert as_local(wtool.inspect(address, statistics=True), path) == wtool.inspect(path)
    brief = wtool.inspect(address)
    assert as_local(brief, path) == wtool.inspect(path, statistics=False)
    assert all(each["zeros"] is None and each["mean"] is None for each in brief["tensors"])


def large(path: Path) -> Path:
    """A model's weights with 31 MB, nearly all of it in five arrays."""
    with h5py.File(path, "w") as file:
        for number in range(5):
            values = file.create_group(f"layers/dense_{number}/vars")
            values["0"] = np.full((1250, 1250), number, np.float32)
            values["1"] = np.zeros(1250, np.float32)
    return path


def test_a_glance_takes_few_requests(s3: S3, web: Web, tmp_path: Path) -> None:
    weights = large(tmp_path / "m.weights.h5")
    with h5py.File(weights) as file:
        size = sum(each.nbytes for each in file["layers/dense_0/vars"].values())
    for store in (s3, web):
        address = store.put("m.weights.h5", weights.read_bytes())
        assert wtool.inspect(address)["bytes"] == 5 * size
        assert len(store.server.requests) <= 6
        assert store.server.sent <= 700_000


def test_a_small_model_is_one_request(s3: S3, web: Web) -> None:
    for store in (s3, web):
        address = store.put("m.keras", BLOBS[0].read_bytes())
        with open_checkpoint(address) as model:
            assert model.format == "keras"
        assert len(store.server.requests) == 1


def test_an_average_is_that_of_files(s3: S3, web: Web, tmp_path: Path) -> None:
    for number, path in enumerate(BLOBS[:3]):
        shutil.copy(path, tmp_path / f"ckpt-{number}.keras")
    local = [tmp_path / f"ckpt-{number}.keras" for number in range(3)]
    wtool.average(local, output=tmp_path / "local.keras")
    for store in (s3, web):
        addresses = [store.put(path.name, path.read_bytes()) for path in local]
        wtool.average(addresses, output=tmp_path / "m.keras", force=True)
        assert (tmp_path / "m.keras").read_bytes() == (tmp_path / "local.keras").read_bytes()


def answer(action: Callable[[], object]) -> str:
    try:
        return repr(action())
    except wtool.WtoolError as error:
        return f"{type(error).__name__}: {error.message}"


HOSTILE_FILES = [path for path in sorted(HOSTILE.iterdir()) if path.suffix in (".keras", ".h5", ".safetensors")]


@pytest.mark.parametrize("path", HOSTILE_FILES, ids=lambda path: path.name)
def test_hostile_files_are_refused_for_the_same_reasons(web: Web, path: Path) -> None:
    address = web.put(path.name, path.read_bytes())
    assert answer(lambda: wtool.inspect(address, statistics=True)["tensors"]) == answer(
        lambda: wtool.inspect(path)["tensors"]
    )
    assert answer(lambda: wtool.check(address).findings) == answer(lambda: wtool.check(path).findings)


def put_all(store: Any, folder: Path, top: str) -> str:
    """Has a store keep all files of a folder; returns the folder's address."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = f"{top}/{path.relative_to(folder).as_posix()}"
            if hasattr(store, "put_file"):
                store.pipe_file(f"/zoo/{name}", path.read_bytes())
            else:
                store.put(name, path.read_bytes())
    return f"memory://zoo/{top}" if hasattr(store, "put_file") else f"s3://zoo/{top}"


def test_shards_are_opened_beside_their_map(s3: S3, web: Web, memory: Any, tmp_path: Path) -> None:
    names = [path.name for path in HOSTILE.iterdir() if path.name.startswith("shard_")]
    for name in names:
        shutil.copy(HOSTILE / name, tmp_path / name)
        web.put(f"zoo/{name}", (HOSTILE / name).read_bytes())
    folders = [put_all(s3, tmp_path, "shards"), put_all(memory, tmp_path, "shards"), web.at("zoo")]
    for name in (each for each in names if each.endswith(".json")):
        expected = shards_told(str(tmp_path / name))
        for folder in folders:
            assert shards_told(f"{folder}/{name}") == expected


def shards_told(path: str) -> str:
    return answer(lambda: [*wtool.inspect(path, statistics=True)["tensors"], *wtool.check(path).findings])


def test_unzipped_models_are_opened(s3: S3, memory: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    with zipfile.ZipFile(BLOBS[0]) as archive:
        archive.extractall(folder)
    (folder / "assets" / "layers" / "words").mkdir(parents=True)
    (folder / "assets" / "layers" / "words" / "vocabulary.txt").write_bytes(b"a\nb")
    (folder / "assets" / "b.txt").write_bytes(b"c")
    wtool.prune(folder, sparsity=0.5, output=tmp_path / "local.keras")
    for store in (s3, memory):
        address = put_all(store, folder, "model")
        for name in (address, f"{address}/"):
            told = wtool.inspect(name, statistics=True)
            assert told["tensors"] == wtool.inspect(folder)["tensors"]
        wtool.prune(address, sparsity=0.5, output=tmp_path / "m.keras", force=True)
        assert (tmp_path / "m.keras").read_bytes() == (tmp_path / "local.keras").read_bytes()


def test_addresses_of_files_on_this_machine_are_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    shutil.copy(BLOBS[0], tmp_path / "a model.keras")
    found = wtool.inspect(f"file://{tmp_path}/a model.keras")
    assert found == wtool.inspect(tmp_path / "a model.keras")


def test_configurations_and_architectures_are_told_without_values(web: Web, tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    large(path)
    address = web.put("m.weights.h5", path.read_bytes())
    before = len(web.server.requests)
    assert wtool.check(address, configuration=True) == wtool.Checked(address, ())
    found = wtool.diff(address, path, architecture=True)
    assert found.equal
    assert [each.has_same_bytes for each in found.tensors] == [False] * 10
    assert len(web.server.requests) - before <= 12
    assert web.server.sent < 1_500_000


def test_an_architecture_alone_is_compared(tmp_path: Path) -> None:
    path = shutil.copy(BLOBS[0], tmp_path / "m.keras")
    wtool.prune(path, sparsity=0.5, output=tmp_path / "pruned.keras")
    assert not wtool.diff(path, tmp_path / "pruned.keras").equal
    assert wtool.diff(path, tmp_path / "pruned.keras", architecture=True).equal
    with pytest.raises(wtool.WtoolError, match="a tolerance is for values"):
        wtool.diff(path, path, architecture=True, rtol=0.1)


def test_a_dry_run_of_an_average_reads_no_values(web: Web, tmp_path: Path) -> None:
    content = large(tmp_path / "m.weights.h5").read_bytes()
    addresses = [web.put(f"{number}.weights.h5", content) for number in range(2)]
    wtool.average(addresses, output=tmp_path / "a.weights.h5", dry_run=True)
    assert not (tmp_path / "a.weights.h5").exists()
    assert web.server.sent < 1_500_000

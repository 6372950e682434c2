"""What is there already is believed only while it is what wtool wrote; and what lineages tell of other inputs."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.models import BLOBS, WEIGHTS, ZOO, arrays, extents, hdf5_bytes
from wtool.checkpoint.seal import is_sealed

FORMATS = ["k3.15.1/mlp.keras", "k3.15.1/mlp.h5", "k3.15.1/mlp.weights.h5", "k2.2.4/mlp_defaultnames.h5"]
LINEAGE = "wtool_lineage"


def sealed(path: Path) -> bool:
    with wtool.open_checkpoint(str(path)) as checkpoint:
        return is_sealed(checkpoint)


def pruned(source: Path, target: Path, **options: Any) -> bool:
    """Whether pruning was skipped."""
    return wtool.prune(source, sparsity=0.5, output=target, **options)[0].skipped


def sharded(folder: Path) -> Path:
    """A sharded checkpoint of two files, as Keras writes them."""
    names = [f"model_{number:05d}.weights.h5" for number in range(2)]
    groups = {}
    for number, name in enumerate(names):
        with h5py.File(folder / name, "w", libver="earliest") as file:
            path = f"layers/dense{f'_{number}' if number else ''}/vars"
            file.create_group(path)["0"] = np.arange(1, 13, dtype="f4").reshape(3, 4)
            groups[f"/{path}"] = [name]
    (folder / "model.weights.json").write_text(json.dumps({"metadata": {"total_size": 96.0}, "weight_map": groups}))
    return folder / "model.weights.json"


def source_of(name: str, folder: Path) -> Path:
    if name == "shards":
        return sharded(folder)
    source = folder / f"model{''.join(Path(name).suffixes[-2:]).replace('.15.1/mlp', '')}"
    shutil.copy(ZOO / name, source)
    return source


def target_of(source: Path) -> Path:
    return source.with_name(source.name.replace("model", "result", 1))


def rezipped(path: Path, change: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None) -> None:
    """Write an archive anew with Python's zipfile, with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()} | (more or {})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            if data is not None:
                archive.writestr(name, data)


@pytest.mark.parametrize("name", [*FORMATS, "shards"])
def test_a_result_is_sealed_and_skipped(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    assert not pruned(source, target_of(source))
    assert sealed(target_of(source))
    assert pruned(source, target_of(source))
    assert not sealed(source)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_bit_of_the_content_changes_unseen(name: str, place: float, bit: int, tmp_path: Path) -> None:
    """Of archives, without their directory and headers, in which nothing is but names and sizes."""
    source = source_of(name, tmp_path)
    target = target_of(source)
    pruned(source, target, force=True)
    content = bytearray(target.read_bytes())
    where = [range(len(content))]
    if target.suffix == ".keras":
        with zipfile.ZipFile(target) as archive:
            starts = [(info.header_offset + 30 + len(info.filename), info.file_size) for info in archive.infolist()]
        where = [range(start, start + size) for start, size in starts]
    every = [at for each in where for at in (each.start, each.stop - 1, each[int(place * len(each))])]
    for at in every:
        content[at] ^= 1 << bit
        target.write_bytes(content)
        with suppress(wtool.WtoolError):  # not even a model any more
            assert not sealed(target)
        content[at] ^= 1 << bit
    target.write_bytes(content)
    assert sealed(target)


def edit_weights(path: Path) -> None:
    """Another value in place, as h5py changes files; in an archive with the right checksums."""
    if path.suffix == ".keras":
        name, start, _ = extents(path)[0]
        content = bytearray(hdf5_bytes(path))
        content[start] ^= 1
        rezipped(path, lambda member, data: bytes(content) if member == WEIGHTS else data)
        assert name in arrays(path)
        return
    with h5py.File(path, "r+") as file:
        found: list[Any] = []
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        floats = next(each for each in found if each.dtype.kind == "f" and each.ndim)
        floats[...] = floats[...] + 1


@pytest.mark.parametrize("name", FORMATS)
def test_a_result_with_other_weights_is_not_skipped(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    target = target_of(source)
    pruned(source, target)
    edit_weights(target)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        pruned(source, target)
    assert not pruned(source, target, force=True)
    assert pruned(source, target)


def test_an_edited_shard_is_seen(tmp_path: Path) -> None:
    source = sharded(tmp_path)
    target = target_of(source)
    pruned(source, target)
    edit_weights(tmp_path / "result_00001.weights.h5")
    assert not sealed(target)
    with pytest.raises(wtool.WtoolError, match="exists already"):
        pruned(source, target)


def copy_lineage(origin: Path, target: Path) -> None:
    """Give a file the lineage of another one."""
    if target.suffix == ".keras":
        with zipfile.ZipFile(origin) as archive:
            lineage = json.loads(archive.read("metadata.json"))[LINEAGE]

        def change(name: str, data: bytes) -> bytes:
            return json.dumps({**json.loads(data), LINEAGE: lineage}).encode() if name == "metadata.json" else data

        rezipped(target, change)
        return
    with h5py.File(origin) as old, h5py.File(target, "r+") as new:
        new.attrs[LINEAGE] = old.attrs[LINEAGE]


@pytest.mark.parametrize("name", FORMATS)
def test_the_lineage_of_another_file_is_not_believed(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    result, forged = target_of(source), source.with_name(source.name.replace("model", "forged", 1))
    pruned(source, result)
    shutil.copy(source, forged)
    copy_lineage(result, forged)
    with wtool.open_checkpoint(str(result)) as one, wtool.open_checkpoint(str(forged)) as other:
        assert one.lineage == other.lineage
    with pytest.raises(wtool.WtoolError, match="exists already"):
        pruned(source, forged)


@pytest.mark.parametrize("what", ["configuration", "record", "no result", "member", "name"])
def test_what_else_is_in_an_archive_is_sealed(what: str, tmp_path: Path) -> None:
    source, target = tmp_path / "model.keras", tmp_path / "result.keras"
    shutil.copy(BLOBS[0], source)
    pruned(source, target)
    extra = {"assets/x.txt": b"x"} if what == "member" else {}

    def change(name: str, data: bytes) -> bytes | None:
        if name == "config.json" and what == "configuration":
            return data.replace(b'"name": "', b'"name" : "', 1)
        if name == "config.json" and what == "name":
            extra["Config.json"] = data
        if name == "metadata.json" and what in ("record", "no result"):
            metadata = json.loads(data)
            record = metadata[LINEAGE][-1]
            if what == "record":
                record["parameters"]["sparsity"] = 0.25
            else:
                del record["result"]
            return json.dumps(metadata).encode()
        return data

    rezipped(target, change, extra)
    try:
        assert not sealed(target)
    except wtool.WtoolError:
        assert what == "name"
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.prune(source, sparsity=0.25 if what == "record" else 0.5, output=target)


def test_an_unchanged_copy_of_an_archive_stays_sealed(tmp_path: Path) -> None:
    """Dates and headers of members are nothing that a model says."""
    pruned(BLOBS[0], tmp_path / "result.keras")
    rezipped(tmp_path / "result.keras", lambda name, data: data)
    assert sealed(tmp_path / "result.keras")


def test_a_skipped_model_tells_what_its_result_holds(tmp_path: Path) -> None:
    argv = ["prune", str(BLOBS[-1]), "--sparsity", ".5", "-o", str(tmp_path / "out.keras"), "--json"]
    first, second = (json.loads(run(*argv, cwd=tmp_path).stdout) for _ in range(2))
    assert (first["skipped"], second["skipped"]) == (False, True)
    with wtool.open_checkpoint(str(tmp_path / "out.keras")) as result:
        zeros = sum(int((result.read(each) == 0).sum()) for each in result.weights if each.role == "kernel")
    assert first["zeros"] == second["zeros"] == zeros
    assert [first[name] for name in ("selected", "rewritten", "seed")] == [
        second[name] for name in ("selected", "rewritten", "seed")
    ]
    drawn = [wtool.stroke(BLOBS[0], output=tmp_path / "stroke.keras")[0] for _ in range(2)]
    assert drawn[1].skipped
    assert (drawn[0].seed, drawn[0].rewritten) == (drawn[1].seed, drawn[1].rewritten)


# Lineage through pipes, and of masks


def run(*argv: str, cwd: Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(forkserver.wtool(*argv), cwd=cwd, input=stdin, capture_output=True, check=True)


def piped(path: Path, *commands: list[str]) -> list[bytes]:
    """What each command of a pipeline writes, the first of which reads a file."""
    found = [path.read_bytes()]
    for command in commands:
        found.append(run(*command, "-o", "-", cwd=path.parent, stdin=found[-1]).stdout)
    return found


def hash_of(data: bytes) -> str:
    return f"blake3:{blake3(data).hexdigest()}"


def told(data: bytes, folder: Path) -> list[dict[str, Any]]:
    (folder / "told.keras").write_bytes(data)
    return list(wtool.inspect(folder / "told.keras")["lineage"])


def test_a_ticket_from_a_pipe_tells_of_its_mask(tmp_path: Path) -> None:
    shutil.copy(BLOBS[-1], tmp_path / "trained.keras")
    initial = ["--initial", str(BLOBS[0])]
    steps = [["prune", "-", "--sparsity", ".5"], ["rewind", "-", *initial], ["jitter", "-", "--seed", "1", *initial]]
    trained, mask, ticket, shaken = piped(tmp_path / "trained.keras", *steps)
    records = told(ticket, tmp_path)
    assert [(each["operation"], each.get("of")) for each in records] == [("prune", "mask"), ("rewind", None)]
    assert records[0]["parameters"]["sparsity"] == 0.5
    assert records[0]["parameters"]["criterion"] == "large-final"
    assert records[0]["inputs"] == [{"name": "-", "as": "model", "hash": hash_of(trained)}]
    assert [(each["name"], each["as"], each["hash"]) for each in records[1]["inputs"]] == [
        (BLOBS[0].name, "initial", hash_of(BLOBS[0].read_bytes())),
        ("-", "mask", hash_of(mask)),
    ]
    assert records[1]["inputs"][1]["pruned"]["model"] == hash_of(trained)
    records = told(shaken, tmp_path)
    assert [(each["operation"], each.get("of")) for each in records] == [
        ("prune", "mask"), ("rewind", "mask"), ("jitter", None),
    ]  # fmt: skip
    assert records[-1]["inputs"][1]["hash"] == hash_of(ticket)
    assert records[-1]["inputs"][1]["pruned"]["parameters"]["sparsity"] == 0.5


def test_a_ticket_of_files_records_the_origin_of_its_mask(tmp_path: Path) -> None:
    wtool.prune(BLOBS[-1], sparsity=0.6, criterion="mi", initial=BLOBS[0], output=tmp_path / "mask.keras")
    wtool.constant(tmp_path / "mask.keras", initial=BLOBS[0], value=0.1, seed=1, output=tmp_path / "ticket.keras")
    (record,) = wtool.inspect(tmp_path / "ticket.keras")["lineage"]
    mask = record["inputs"][1]
    assert mask["hash"] == hash_of((tmp_path / "mask.keras").read_bytes())
    assert mask["pruned"]["model"] == hash_of(BLOBS[-1].read_bytes())
    assert (mask["pruned"]["parameters"]["sparsity"], mask["pruned"]["parameters"]["criterion"]) == (
        0.6,
        "magnitude-increase",
    )


def test_an_average_in_a_pipe_goes_on(tmp_path: Path) -> None:
    average = run("average", str(BLOBS[0]), str(BLOBS[1]), "-o", "-", cwd=tmp_path).stdout
    mask = run("prune", "-", "--sparsity", ".5", "-o", "-", cwd=tmp_path, stdin=average).stdout
    records = told(mask, tmp_path)
    assert [each["operation"] for each in records] == ["average", "prune"]
    assert records[1]["inputs"] == [{"name": "-", "as": "model"}]  # which follows from the record before
    assert "result" not in records[0]
    command = ["average", "-", str(BLOBS[2]), "--order", "given", "-o", "-"]
    records = told(run(*command, cwd=tmp_path, stdin=mask).stdout, tmp_path)
    assert [(each["operation"], each.get("of")) for each in records] == [
        ("average", "averaged"), ("prune", "averaged"), ("average", None),
    ]  # fmt: skip
    assert records[-1]["inputs"][0]["hash"] == hash_of(mask)


def test_what_was_done_to_a_mask_was_not_done_to_its_ticket(tmp_path: Path) -> None:
    """Strokes of the model that came through a pipe do not count as strokes of the initial checkpoint."""
    shutil.copy(BLOBS[-1], tmp_path / "trained.keras")
    stroke = ["stroke", "-", "--seed", "1"]
    ticket = piped(tmp_path / "trained.keras", stroke, ["rewind", "-", "--initial", str(BLOBS[0])])[-1]
    (tmp_path / "ticket.keras").write_bytes(ticket)
    (done,) = wtool.stroke(tmp_path / "ticket.keras", cutoff=1, seed=1, output=tmp_path / "out.keras")
    assert done.rewritten

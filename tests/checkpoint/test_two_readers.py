"""What two readers could take in different ways is refused, by every command."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import wtool
from tests.fuzzing.zip_writer import End, Entry, archive
from tests.fuzzing.zips import NAMES, honest, other_config
from tests.models import BLOBS, FIXTURES, WEIGHTS, hdf5_bytes
from wtool.checkpoint.layouts.shards import shard_map
from wtool.errors import Differs, Note, Refused
from wtool.hdf5.reader import read_index
from wtool.io import limits
from wtool.io.json_text import parse_object
from wtool.io.source import Source
from wtool.io.zip_reader import read_members
from wtool.schema.archive_members import KNOWN

BN = FIXTURES / "bn"
COMMANDS: dict[str, Callable[[Path, Path], object]] = {
    "inspect": lambda path, out: wtool.inspect(path),
    "average": lambda path, out: wtool.average([path], output=out),
    "prune": lambda path, out: wtool.prune(path, sparsity=0.5, output=out),
    "swap": lambda path, out: wtool.swap(path, to="linked", output=out),
}


def refused_by_all(path: Path, match: str, kind: type[Refused] = Differs) -> None:
    """Every command refuses a file, and writes nothing; `check` tells it as what it is."""
    out = path.with_name(f"out{path.suffix}")
    for command in COMMANDS.values():
        with pytest.raises(kind, match=match):
            command(path, out)
        assert not out.exists()
    worst = wtool.check(path).findings[0]
    assert worst.severity == kind.severity


def written(folder: Path, data: bytes, name: str = "m.keras") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


# --- the names of members ---


def test_what_the_writer_writes_is_read_by_all(tmp_path: Path) -> None:
    path = written(tmp_path, archive(honest()))
    assert wtool.inspect(path)["parameters"] == wtool.inspect(BLOBS[0])["parameters"]
    path = written(tmp_path, archive(honest(), End(zip64=True)))
    assert zipfile.ZipFile(path).namelist() == [entry.name.decode() for entry in honest()]
    assert wtool.inspect(path)["parameters"] == wtool.inspect(BLOBS[0])["parameters"]


@pytest.mark.parametrize("which", ["config.json", "model.weights.h5"])
def test_a_nul_in_a_name(tmp_path: Path, which: str) -> None:
    path = written(tmp_path, archive([*honest(), Entry(which.encode() + b"\0x", other_config())]))
    assert zipfile.ZipFile(path).read(which) == other_config()  # as Keras reads it
    refused_by_all(path, "readers of zip archives take for different names")


@pytest.mark.parametrize("where", ["central_extra", "local_extra"])
def test_a_second_name_in_an_extra_field(tmp_path: Path, where: str) -> None:
    body = struct.pack("<BI", 1, zlib.crc32(b"assets/x")) + b"config.json"
    member = Entry(b"assets/x", other_config()).changed(**{where: struct.pack("<2H", 0x7075, len(body)) + body})
    refused_by_all(written(tmp_path, archive([*honest(), member])), "a second name in its extra fields")


OTHER_NAMES = {b"notes.txt", b"x" * 300, b"model.weights.json", b"assets//x"}
OTHER_NAMES |= {name for name in NAMES if name.startswith((b"assets/", "assets/\u00f6".encode())) and b"\\" not in name}


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("flags", [0, 0x800])
def test_names_that_could_be_taken_for_another(tmp_path: Path, name: bytes, flags: int) -> None:
    path = written(tmp_path, archive([*honest(), Entry(name, b"x", flags=flags)]))
    utf8 = not flags or name.decode("utf-8", "replace").encode() == name
    if name in OTHER_NAMES and utf8:
        assert wtool.inspect(path)["tensors"]
    else:
        with pytest.raises(Differs):
            wtool.inspect(path)


def test_assets_of_layers_that_differ_in_case(tmp_path: Path) -> None:
    """Keras makes a folder of each layer's name, and `Text` and `text` are two names."""
    assets = [Entry(f"assets/{name}/vocabulary.txt".encode(), name.encode()) for name in ("Text", "text")]
    assert wtool.inspect(written(tmp_path, archive([*honest(), *assets])))["tensors"]


# --- files of two kinds ---


def whole_model(user_block: int = 0) -> bytes:
    """A whole-model `.h5`, behind a block of the user's."""
    out = io.BytesIO()
    with h5py.File(BN / "ckpt-9.h5") as old, h5py.File(out, "w", userblock_size=user_block, libver="earliest") as new:
        for name in old:
            old.copy(name, new)
        for name, value in old.attrs.items():
            new.attrs[name] = value
    return out.getvalue()


@pytest.mark.parametrize("at", [512, 1024, 4096])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_archive_that_is_hdf5_as_well(tmp_path: Path, at: int, suffix: str) -> None:
    name = b"assets/readme.bin"
    filler = whole_model(at)[30 + len(name) :]
    path = written(tmp_path, archive([Entry(name, filler), *honest()]), f"m{suffix}")
    with h5py.File(path) as file:
        assert "model_config" in file.attrs  # as Keras reads it under a name in .h5
    refused_by_all(path, f"both a zip archive and an HDF5 file, from byte {at} on")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the system does not list open files")
def test_a_refused_archive_is_closed(tmp_path: Path) -> None:
    name = b"assets/readme.bin"
    path = written(tmp_path, archive([Entry(name, whole_model(1024)[30 + len(name) :]), *honest()]))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(wtool.Refused):
        wtool.open_checkpoint(path)
    assert len(os.listdir("/proc/self/fd")) == before


def aligned(weights: bytes, at: int = 1024) -> bytes:
    """An archive whose stored weights begin at a place where the HDF5 library looks for a file."""
    config, metadata = (next(e for e in honest() if e.name == name) for name in (b"config.json", b"metadata.json"))
    member = Entry(WEIGHTS.encode(), weights)
    padded = json.loads(metadata.data) | {"pad": ""}
    headers = 30 + len(metadata.name) + 30 + len(member.name)
    padded["pad"] = "x" * (at - headers - len(json.dumps(padded)))
    return archive([metadata.changed(data=json.dumps(padded).encode()), member, config])


def test_weights_that_begin_where_the_hdf5_library_looks_are_no_second_model(tmp_path: Path) -> None:
    path = written(tmp_path, aligned(hdf5_bytes(BLOBS[0])))
    assert h5py.is_hdf5(path)
    assert wtool.inspect(path)["tensors"] == wtool.inspect(BLOBS[0])["tensors"]
    out = tmp_path / "out.keras"
    wtool.prune(path, sparsity=0.5, output=out)
    assert wtool.check(out).findings == ()


def test_weights_there_that_hold_a_model_of_their_own_are_one(tmp_path: Path) -> None:
    data = io.BytesIO(hdf5_bytes(BLOBS[0]))
    with h5py.File(data, "r+") as file:
        file.attrs["model_config"] = "{}"
    refused_by_all(written(tmp_path, aligned(data.getvalue())), "an HDF5 file with another model, from byte 1024 on")


@pytest.mark.parametrize("comment", [b"", b"a comment", b"x" * 65535])
@pytest.mark.parametrize("name", ["ckpt-9.h5", "ckpt-9.weights.h5"])
def test_hdf5_that_is_an_archive_as_well(tmp_path: Path, name: str, comment: bytes) -> None:
    model = (BN / name).read_bytes()
    whole = archive(honest(), End(comment=comment))
    for data in (model + whole, archive(honest(), End(comment=comment), prefix=model)):
        path = written(tmp_path, data, "m.h5")
        assert zipfile.is_zipfile(path)
        refused_by_all(path, "both an HDF5 file and a zip archive")


def test_four_bytes_of_weights_are_no_archive(tmp_path: Path) -> None:
    """The mark of an archive's end stands in weights by chance, in one file of 65,000."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        values = np.arange(4000, dtype="f4")
        values[-30] = np.frombuffer(b"PK\5\6", "f4")[0]
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = values.reshape(40, 100), np.zeros(100, "f4")
    assert zipfile.is_zipfile(path)
    assert wtool.inspect(path)["tensors"]


# --- names, and files that are no models ---


@pytest.mark.parametrize(
    ("model", "name", "severity"),
    [
        (BN / "ckpt-9.h5", "m.keras", "note"),
        (BN / "ckpt-9.keras", "m.h5", "odd"),
        (BN / "ckpt-9.keras", "m.weights.h5", "odd"),
        (BN / "ckpt-9.weights.h5", "m.keras", "odd"),
        (BN / "ckpt-9.keras", "m.bin", None),
        (BN / "ckpt-9.h5", "m", None),
        (BN / "ckpt-9.h5", "m.hdf5", None),
    ],
)
def test_a_name_that_does_not_fit_is_told(tmp_path: Path, model: Path, name: str, severity: str | None) -> None:
    path = Path(shutil.copy(model, tmp_path / name))
    with wtool.open_checkpoint(str(path)) as checkpoint:
        told = [note for note in checkpoint.notes if isinstance(note, Note)]
    assert [note.severity for note in told] == ([severity] if severity else [])
    assert [finding.severity for finding in wtool.check(path).findings] == ([severity] if severity else [])
    assert set(told) <= set(wtool.inspect(path)["notes"])


def numpy_archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.ones(3))
    return out.getvalue()


FOREIGN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a Git LFS pointer"),
    "checkpoints": (b'model_checkpoint_path: "ckpt-3"\n', "TensorFlow's list of the checkpoints"),
    "page": (b"\n<!DOCTYPE html>\n<html><body>Not Found</body></html>\n", "a web page"),
    "error": (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "an XML document"),
    "torch": (archive([Entry(b"archive/data.pkl", b"\x80\x02."), Entry(b"archive/version", b"3")]), "a PyTorch file"),
    "old torch": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"),
    "pickle": (b"\x80\x04\x95", "a Python pickle"),
    "tar": (b"m.keras".ljust(257, b"\0") + b"ustar\x0000", "an archive; unpack it first"),
    "zeros": (bytes(600), "full of zeros where a model begins"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(600), "an image"),
    "document": (b"%PDF-1.4\n", "a PDF document"),
    "data": (b"PAR1" + bytes(600), "a file of data"),
    "architecture": (b'{"class_name": "Sequential", "config": {}}', "an architecture that model.to_json"),
    "answer": (b'{"error": "not found"}', "JSON without a weight_map"),
    "onnx": (b'\x08\x08\x12\x07pytorch:\x01"', "an ONNX model"),
    "saved model": (b"\x08\x01\x12\xff\x01", "a TensorFlow SavedModel"),
    "checkpoint": (b"\0" * 40 + bytes.fromhex("57fb808b247547db"), "part of a TensorFlow checkpoint"),
    "lite": (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model"),
    "npz": (numpy_archive(), "a NumPy .npz archive"),
    "tar.gz": (b"\x1f\x8b\x08", "an archive; unpack it first"),
    "zipped": (archive([Entry(b"run/m.keras", b"x")]), "a zip archive that holds models"),
    "text": (b"hello", "not a Keras model: it starts with b'hello'"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_called_what_they_are(tmp_path: Path, kind: str) -> None:
    data, sentence = FOREIGN[kind]
    for name in ("m.h5", "m.keras"):
        with pytest.raises(Refused, match=sentence):
            wtool.inspect(written(tmp_path, data, name))


def test_an_address_without_its_second_slash_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wtool.WtoolError, match="No such file or directory; an address has two slashes"):
        wtool.inspect("hf:/a/b")
    here = tmp_path / "hf:" / "a"
    here.mkdir(parents=True)
    (here / "b").write_bytes(b"")
    with pytest.raises(Refused, match="is empty"):
        wtool.inspect("hf:/a/b")


def test_the_name_of_a_checkpoint_of_tensorflow_is_told(tmp_path: Path) -> None:
    (tmp_path / "ckpt-1.index").write_bytes(FOREIGN["checkpoint"][0])
    with pytest.raises(Refused, match="part of a TensorFlow checkpoint; wtool convert takes"):
        wtool.inspect(tmp_path / "ckpt-1")


# --- JSON ---


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1, "a": 1}', b'{"x": {"b": 1, "\\u0062": 2}}', b'{"a": 18446744073709551616}', b'{"a": 1e999}',
        b'{"a": "\\ud800"}', b'{"\\udc00": 1}', b'{"a": "\xed\xa0\x80"}', b'{"a": "\xff"}', b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"), '{"a": 1}'.encode("utf-16-le"), '{"a": 1}'.encode("utf-32"),
    ],
)  # fmt: skip
def test_json_that_readers_read_differently(text: bytes) -> None:
    with pytest.raises(Differs, match="the text"):
        parse_object(text, "the text")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN, "b": [-Infinity, 18446744073709551615, -9223372036854775808, 1e-999, -0]}',
        '{"a": "\\ud83d\\ude00", "\u00e9": "e\u0301", "e\u0301": 1.7976931348623157e308}',
    ],
)
def test_json_that_is_only_unusual(text: str) -> None:
    assert str(parse_object(text.encode(), "the text")) == str(json.loads(text))
    assert str(parse_object(text, "the text")) == str(json.loads(text))


def test_check_tells_what_loading_would_run_of_json_that_is_refused(tmp_path: Path) -> None:
    config = json.loads(next(entry.data for entry in honest() if entry.name == b"config.json"))
    config["config"]["layers"][-1] |= {"module": "os", "class_name": "system", "registered_name": "x"}
    text = json.dumps(config)[:-1] + ', "class_name": "Sequential"}'
    entries = [e.changed(data=text.encode()) if e.name == b"config.json" else e for e in honest()]
    found = wtool.check(written(tmp_path, archive(entries))).findings
    assert {finding.severity for finding in found} == {"runs", "differs"}


@pytest.mark.parametrize("other", ["layers/dense/vars", "/layers/dense/vars/", "//layers/dense/vars"])
def test_two_entries_for_one_group_of_a_sharded_checkpoint(other: str) -> None:
    text = {"metadata": {}, "weight_map": {"/layers/dense/vars": ["m_00000.weights.h5"], other: "m_00001.weights.h5"}}
    with pytest.raises(Differs, match="two entries for one group"):
        shard_map(json.dumps(text).encode())


def test_two_layers_of_one_name(tmp_path: Path) -> None:
    """Keras 3 refuses such a model; Keras 2 calls the first of the two layers twice."""
    config = json.loads(next(entry.data for entry in honest() if entry.name == b"config.json"))
    layers = config["config"]["layers"]
    for layer in layers[-2:]:
        layer["config"]["name"] = "twice"
    entries = [e.changed(data=json.dumps(config).encode()) if e.name == b"config.json" else e for e in honest()]
    refused_by_all(written(tmp_path, archive(entries)), "2 layers called 'twice'")


# --- marks on arrays ---


def weights_file(folder: Path, values: Any, mark: Any) -> Path:
    path = folder / "m.weights.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = values, np.zeros(3, "f4")
        if mark is not None:
            file["layers/dense/vars/0"].attrs["dtype"] = mark
    return path


@pytest.mark.parametrize("dtype", ["f2", "f4", "i2", "u2", "V1"])
@pytest.mark.parametrize("mark", ["bfloat16", ["bfloat16"]])
def test_marks_of_another_type(tmp_path: Path, dtype: str, mark: Any) -> None:
    with pytest.raises(Differs, match="layers/dense/vars/0 is marked as"):
        wtool.inspect(weights_file(tmp_path, np.zeros((2, 3), dtype), mark))


@pytest.mark.parametrize("mark", [None, ["bfloat16"], "float16"])
def test_opaque_values_without_the_mark_that_keras_reads(tmp_path: Path, mark: Any) -> None:
    with pytest.raises(Refused, match="layers/dense/vars/0"):
        wtool.inspect(weights_file(tmp_path, np.zeros((2, 3), "V2"), mark))
    assert (
        wtool.inspect(weights_file(tmp_path, np.zeros((2, 3), "V2"), "bfloat16"))["tensors"][0]["dtype"] == "bfloat16"
    )


# --- outputs that could not be read again ---


def with_metadata(folder: Path, metadata: bytes) -> Path:
    return written(
        folder, archive([e.changed(data=metadata) if e.name == b"metadata.json" else e for e in honest()]), "m.keras"
    )


@pytest.mark.slow
@pytest.mark.parametrize("room", [40, 400])
def test_metadata_that_has_no_room_for_the_lineage(tmp_path: Path, room: int) -> None:
    padding = limits.MAX_JSON - room - len('{"pad": ""}')
    path, out = with_metadata(tmp_path, json.dumps({"pad": "x" * padding}).encode()), tmp_path / "out.keras"
    assert wtool.inspect(path)["tensors"]
    with pytest.raises(wtool.WtoolError, match=r"nothing was written: .* since metadata.json is"):
        wtool.prune(path, sparsity=0.5, output=out)
    assert not out.exists()


@pytest.mark.slow
def test_metadata_that_has_no_room_for_more_values(tmp_path: Path) -> None:
    metadata = {"pad": [0] * (limits.MAX_JSON_VALUES - 30), "wtool_lineage": [{"operation": "x"}] * 5}
    path, out = with_metadata(tmp_path, json.dumps(metadata).encode()), tmp_path / "out.keras"
    assert len(wtool.inspect(path)["lineage"]) == 5
    with pytest.raises(wtool.WtoolError, match=r"nothing was written: .* metadata.json holds more than"):
        wtool.prune(path, sparsity=0.5, output=out)
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ckpt-9.h5", "ckpt-9.weights.h5"])
def test_attributes_that_have_no_room_for_the_lineage(tmp_path: Path, name: str) -> None:
    path, out = Path(shutil.copy(BN / name, tmp_path / name)), tmp_path / f"out-{name}"
    lineage = json.dumps([{"operation": "x", "pad": "x" * (limits.MAX_JSON - 100)}])
    with h5py.File(path, "r+") as file:
        file.attrs["wtool_lineage"] = np.array(lineage, h5py.string_dtype())[()]
    assert wtool.inspect(path)["lineage"]
    with pytest.raises(wtool.WtoolError, match=r"nothing was written: .* attribute wtool_lineage is"):
        wtool.prune(path, sparsity=0.5, output=out)
    assert not out.exists()


def test_metadata_that_is_a_list_says_nothing_and_makes_room(tmp_path: Path) -> None:
    path, out = with_metadata(tmp_path, b"[1, 2, 3]"), tmp_path / "out.keras"
    assert "metadata.json holds a list where an object is expected" in wtool.inspect(path)["notes"]
    wtool.prune(path, sparsity=0.5, output=out)
    assert len(wtool.inspect(out)["lineage"]) == 1


def test_names_of_inputs_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "m\udcff.keras"
    shutil.copy(BLOBS[0], path)
    out = tmp_path / "out.keras"
    wtool.prune(path, sparsity=0.5, output=out)
    assert wtool.inspect(out)["lineage"][0]["inputs"][0]["name"] == "m\\udcff.keras"


# --- costs ---


def operations(count: int, tmp_path: Path) -> int:
    """How many lines of wtool's files run when an archive of so many members and arrays is opened and verified."""
    weights = io.BytesIO()
    with h5py.File(weights, "w", libver="earliest") as file:
        for number in range(count):
            file[f"layers/dense{f'_{number}' if number else ''}/vars/0"] = np.ones((2, 2), "f4")
            file[f"layers/dense{f'_{number}' if number else ''}/vars/1"] = np.ones(2, "f4")
    entries = [Entry(f"assets/{number}".encode(), b"x") for number in range(count)]
    members = [*(e for e in honest() if e.name != WEIGHTS.encode()), Entry(WEIGHTS.encode(), weights.getvalue())]
    path = written(tmp_path, archive([*members, *entries]))
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        if "/wtool/" not in frame.f_code.co_filename and "<" not in frame.f_code.co_filename:
            return None
        lines += event == "line"
        return trace

    source = Source(os.open(path, os.O_RDONLY), str(path))
    sys.settrace(trace)
    try:
        found = read_members(source, KNOWN)
        read_index(lambda offset, size: weights.getvalue()[offset : offset + size], len(weights.getvalue()))
        for member in found:
            source.expect(member.data, member.data + member.packed, member.crc, member.name)
        for member in found:  # as a command reads: array by array, and what is between
            source.take(member.data, memoryview(bytearray(member.packed)))
        source.finish()
    finally:
        sys.settrace(None)
        source.close()
    return lines


def test_costs_are_linear_in_members_and_arrays(tmp_path: Path) -> None:
    once, twice = (operations(count, tmp_path) for count in (150, 300))
    assert once > 1000
    assert twice < 2.2 * once


def test_every_python_reads_the_same(tmp_path: Path) -> None:
    """The reader of the fuzzer is the one of this Python, too."""
    reader = Path(__file__).parents[1] / "fuzzing" / "zip_reader.py"
    path = written(tmp_path, archive(honest()))
    done = subprocess.run(
        [sys.executable, "-I", reader], input=json.dumps([str(path)]), capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [{entry.name.decode(): zlib.crc32(entry.data) for entry in honest()}]

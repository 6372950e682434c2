"""Files that are no Keras models: one sentence for each kind that people try to open."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from wtool.io.source import Source
from wtool.schema.archive_members import CONFIG, KNOWN

HEAD = 512
_TENSORFLOW_TABLE = bytes.fromhex("57fb808b247547db")
_DATA_SHARD = r"\.data-\d{5}-of-\d{5}$"

SAVED_MODEL = "a TensorFlow SavedModel; wtool convert makes a .keras or .h5 model of the whole folder"
CHECKPOINT = (
    "part of a TensorFlow checkpoint; wtool convert takes a checkpoint by the name of its .index file, and the "
    "architecture with --architecture"
)
ELSEWHERE = "a model of TensorFlow, which is read from this machine alone; copy its files here, and convert the copy"
PICKLE = "a Python pickle, which runs code when it is opened; wtool reads models that Keras saved"
PYTORCH = (
    "a PyTorch file, which holds a pickle; wtool reads models that Keras saved, and .safetensors files, which "
    "safetensors.torch.save_file makes in PyTorch"
)
ARCHIVE = "an archive; unpack it first"
ARCHITECTURE = (
    "an architecture that model.to_json() wrote, without weights; wtool convert takes it as --architecture with a file "
    "of weights"
)


def _starts(*prefixes: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(prefixes)


def _is_page(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html", b"<head"))


def _is_onnx(head: bytes) -> bool:
    """Returns whether a protobuf message begins with a small number (the version) and then a text or message."""
    return len(head) > 2 and head[0] == 8 and 1 <= head[1] < 32 and head[2] in (0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A)


KINDS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (lambda head: not head, "is empty: the download or the copy of it failed"),
    (
        _starts(b"version https://git-lfs.github.com/spec/"),
        "a Git LFS pointer that stands for a model; fetch the model itself with git lfs pull",
    ),
    (_is_page, "a web page, not a model: the download needs another address, or a log-in"),
    (
        _starts(b"model_checkpoint_path:"),
        "TensorFlow's list of the checkpoints in its folder; wtool convert takes one of them by the name of its .index "
        "file, and the architecture with --architecture",
    ),
    (_starts(b"<?xml"), "an XML document, not a model; file stores answer so when a download fails"),
    (_starts(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."), PYTORCH),
    (_starts(b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), PICKLE),
    (_starts(b"GGUF"), "a GGUF file, the format of llama.cpp; wtool reads models that Keras saved"),
    (lambda head: head[4:8] == b"TFL3", "a TensorFlow Lite model; wtool edits the Keras model that it was made from"),
    (_starts(b"\x93NUMPY"), "a NumPy .npy array, not a model"),
    (_starts(b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd", b"Rar!"), ARCHIVE),
    (lambda head: head[257:262] == b"ustar", ARCHIVE),
    (_starts(b"\x08\x01\x12"), SAVED_MODEL),
    (_is_onnx, "an ONNX model; wtool edits the Keras model that it was made from"),
    (_starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "an image, not a model"),
    (_starts(b"%PDF-"), "a PDF document, not a model"),
    (_starts(b"\x7fELF", b"MZ"), "a program, not a model"),
    (_starts(b"PAR1", b"MATLAB "), "a file of data (Parquet or MATLAB), not a model"),
)
"""For each kind of file, a function that recognises its first bytes, and the sentence about it."""


def described(source: Source) -> str:
    """Returns a sentence on what a file is that has no layout of a Keras model."""
    head = source.read(0, min(HEAD, source.size))
    for recognises, sentence in KINDS:
        if recognises(head):
            return sentence
    end = source.read(source.size - 8, 8) if source.size >= 8 else b""
    if end == _TENSORFLOW_TABLE or re.search(_DATA_SHARD, source.name):
        return CHECKPOINT
    if len(head) == HEAD and not any(head):
        return "full of zeros where a model begins: the download or the copy of it failed"
    return f"not a Keras model: it starts with {head[:8]!r}, which is no zip, HDF5, JSON or safetensors file"


def described_zip(names: Sequence[str], missing: str) -> str:
    """Returns a sentence on what a zip archive is that holds no Keras model.

    Args:
        names: of its members.
        missing: the member for lack of which it is no model.
    """
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return PYTORCH
    if all(name.endswith(".npy") for name in names):
        return "a NumPy .npz archive of arrays, not a model"
    if any(name.rpartition("/")[2] == "saved_model.pb" for name in names):
        return SAVED_MODEL
    if not any(name in KNOWN for name in names) and any(
        name.endswith((".keras", ".h5", f"/{CONFIG}")) for name in names
    ):
        return "a zip archive that holds models instead of being one; unpack it first"
    return f"a zip archive without {missing}: not a .keras model"

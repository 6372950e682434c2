"""JSON texts that readers could take in different ways, read by Python's `json` as Keras calls it, and by Node's."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from typing import Any

import numpy as np

from tests.fuzzing.summary import Summary
from tests.fuzzing.zips import honest, some
from wtool.errors import Refused
from wtool.io.json_text import parse_object

Rng = np.random.Generator
NUMBERS = [
    "0", "-0", "-0.0", "1e999", "-1e999", "1e-999", "9007199254740993", "18446744073709551615", "18446744073709551616",
    "-9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "0.1", "1E5", "1e5", "NaN", "Infinity",
    "-Infinity", "0x10", "01", "+1", ".5", "1.", "1_000", "\u0661", "1.7976931348623157e308", "1.7976931348623159e308",
    "123456789012345678901234567890.5", "true", "null", "nan", "2e308",
]  # fmt: skip
TEXTS = [
    r'"\ud800"', r'"\udc00\ud800"', r'"\ud83d\ude00"', '"\U0001f600"', r'"\u0000"', '"\0"', '"a\tb"', r'"\x41"',
    r'"\/"', "'a'", '"\u2028"', '"\ufeff"', r'"\u00e9"', '"\u00e9"', '"e\u0301"', r'"\uD800\u0041"', '""',
]  # fmt: skip
ENCODINGS = ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
SNIPPETS = [
    b",", b"}", b"{", b"[", b"]", b'"', b"\\", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\0", b"//x\n", b"/**/", b"\xa0",
    "\ufeff".encode(), b"\x0b", b"\x85", b'"a":1,', b'"name":2,', b", ", b"\n",
]  # fmt: skip
KEYS = ['"name"', '"class_name"', '"a"', r'"\u0061"', r'"na\u006de"', '"\u00e9"', '"e\u0301"', '"config"', r'"\ud800"']


def texts() -> list[str]:
    """Configurations to begin with: a real one, and small ones."""
    config = next(entry.data for entry in honest() if entry.name == b"config.json").decode()
    return [config, '{"a": 1, "b": [1.5, null, {"c": "x"}]}', '{"name": "d", "units": 3, "deep": {"name": "e"}}', "{}"]


def mark(text: str, rng: Rng) -> str:
    """The text with one value replaced, one key doubled, or a pair more."""
    at = [i for i, each in enumerate(text) if each in ":,{"]
    if not at:
        return text
    place = int(some(rng, at))
    values = some(rng, [NUMBERS, TEXTS])
    if text[place] == ":":
        stop = min((i for i in range(place + 1, len(text)) if text[i] in ",}]"), default=len(text))
        return f"{text[: place + 1]} {some(rng, values)}{text[stop:]}"
    pair = f"{some(rng, KEYS)}: {some(rng, values)}"
    if text[place] == "{":
        rest = text[place + 1 :].lstrip()
        return f"{text[: place + 1]}{pair}{'' if rest.startswith('}') else ','} {rest}"
    return f"{text[:place]}, {pair if rng.random() < 0.7 else some(rng, values)}{text[place:]}"


def case(seed: int, number: int) -> bytes:
    """The text of that number, as bytes."""
    rng = np.random.default_rng([seed, number, 2])
    text = some(rng, texts())
    for _ in range(int(rng.integers(0, 4))):
        text = mark(text, rng)
    data = bytearray(text.encode(some(rng, ENCODINGS), "replace"))
    for _ in range(some(rng, [0, 0, 0, 1, 2])):
        at = int(rng.integers(len(data) + 1))
        data[at:at] = some(rng, SNIPPETS)
    return bytes(data)


def same(one: Any, other: Any) -> bool:
    """Whether two values are one to every reader: NaN is NaN, and 1 is no True."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What readers make of an object that keep the first of two equal keys."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def readings(data: bytes) -> dict[str, Any]:
    """What others read, by name: Keras and tf_keras give Python's `json` bytes from archives, text from other files."""
    return {
        "json of bytes": json.loads(data),
        "json of text": json.loads(data.decode("utf-8")),
        "the first of two keys": json.loads(data.decode("utf-8"), object_pairs_hook=first_wins),
        "written and read again": json.loads(json.dumps(json.loads(data), ensure_ascii=False).encode("utf-8")),
    }


NODE = """
const lines = require('fs').readFileSync(0, 'utf8').split('\\n').filter(Boolean);
const decoder = new TextDecoder('utf-8', {fatal: true});
for (const line of lines) {
  let out;
  try { out = JSON.stringify({value: JSON.parse(decoder.decode(Buffer.from(line, 'hex')))}); }
  catch (error) { out = JSON.stringify({error: String(error)}); }
  console.log(out);
}
"""


def as_doubles(value: Any) -> Any:
    """A value as a reader has it that has no numbers but doubles, and no sign of zero when it writes."""
    if isinstance(value, dict):
        return {key: as_doubles(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_doubles(each) for each in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) + 0.0
    return value


def unordered(value: Any) -> str:
    """A value as text, whatever the order of keys: Node puts those first that are numbers."""
    return json.dumps(as_doubles(value), sort_keys=True)


def by_node(seed: int, opened: dict[int, tuple[bytes, Any]], summary: Summary) -> None:
    """Compare with Node's reader, where this machine has one; it reads neither NaN nor infinities."""
    node = shutil.which("node")
    finite = {number: pair for number, pair in opened.items() if b"NaN" not in pair[0] and b"Infinity" not in pair[0]}
    if node is None or not finite:
        return
    lines = "\n".join(data.hex() for data, _ in finite.values())
    done = subprocess.run([node, "-e", NODE], input=lines, capture_output=True, text=True, check=True)
    for (number, (_, value)), line in zip(finite.items(), done.stdout.split("\n")[:-1], strict=True):
        told = json.loads(line)
        summary.counts["second readings"] += 1
        if unordered(told.get("value", told)) != unordered(value):
            summary.fail("jsons", seed, number, f"Node reads {line[:200]}")


def run(seed: int, numbers: range) -> Summary:
    """Go through some cases of a seed."""
    summary = Summary()
    opened: dict[int, tuple[bytes, Any]] = {}
    for number in numbers:
        data = case(seed, number)
        begin = time.monotonic()
        try:
            value = parse_object(data, "config.json")
        except Refused:
            summary.counts["refused"] += 1
            continue
        finally:
            summary.slowest = max(summary.slowest, time.monotonic() - begin)
        summary.counts["accepted"] += 1
        opened[number] = data, value
        try:
            others = readings(data)
        except Exception as error:
            summary.fail("jsons", seed, number, f"others do not read it: {type(error).__name__}: {error}")
            continue
        summary.counts["second readings"] += len(others)
        for name, other in others.items():
            if not same(other, value):
                summary.fail("jsons", seed, number, f"{name} reads another value")
    by_node(seed, opened, summary)
    return summary

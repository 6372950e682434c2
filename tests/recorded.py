"""Records what wtool's commands do to a collection of models, byte for byte, and compares two such records.

    python -m tests.recorded FOLDER... OUT.json [--sample N]
    python -m tests.recorded --compare A.json B.json

The first form runs a fixed list of commands on every model below the folders. For each command it records the exit
status, standard output, standard error, and the SHA-256 of each file that the command wrote. The second form prints the
differences between two records in groups, and its exit status is 1 if there are any.

The module imports wtool only by its command line, so it runs on old and new code alike. The wtool that it records is
the first one on PYTHONPATH; the file itself may lie elsewhere:

    cd OLD && PYTHONPATH=$PWD python NEW/tests/recorded.py FOLDER... old.json
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any, TypeAlias

import wtool.cli

Outcome: TypeAlias = dict[str, Any]
"""What came of a command: `status`, `stdout`, `stderr`, and `files` (name of each written file -> SHA-256)."""

Outcomes: TypeAlias = dict[str, Outcome]
"""Command -> what came of it."""

MODEL_COMMANDS = """
inspect {model}
inspect {model} --tensors
inspect {model} --json
inspect - --json < {model}
check {model}
check {model} --json
average {model} {model} -o itself{x}
average {model} a/{model} b/{model} --equal -o equal{x}
average {model} a/{model} b/{model} --exp 0.9 -o exp{x}
average {model} a/{model} b/{model} --optimizer keep -o average-keep{x}
average {model} a/{model} b/{model} --optimizer drop -o average-drop{x}
average {model} a/{model} --linear --dry-run
average {model} a/{model} --linear --dry-run --json
average {model} a/{model} --coefficients 1,3 -o -
ema {model} -o ema{x}
ema {model} --dry-run --json
prune {model} --sparsity .5 -o pruned{x}
prune {model} --sparsity .5 -o pruned{x}
prune {model} --sparsity .9 -o pruned{x}
prune {model} --sparsity .9 -o pruned-globally{x} --scope global
prune {model} --sparsity .5 --biases --json -o pruned-biases{x}
prune {model} --min-value -0.05 --max-value 0.05 -o pruned-range{x}
prune {model} --sparsity .5 --optimizer reset -o prune-reset{x}
prune {model} --sparsity .5 --optimizer drop -o prune-drop{x}
prune {model} --sparsity .5 --optimizer keep -o prune-keep{x}
prune {model} --sparsity .5 --criterion random --seed 7 --exclude *bias* -o pruned-random{x}
prune {model} --sparsity .5 --dry-run
prune {model} --sparsity .5 --scope global --dry-run --json
prune {model} --sparsity .5 -o -
prune - --sparsity .5 -o - < {model}
stroke {model} --volatility-ratio .3 --seed 7 -o stroked{x}
stroke {model} --set-value 0.5 --biases --optimizer reset --seed 7 -o stroked-set{x}
stroke {model} --seed 7 --dry-run --json
neuroplast {model} --seed 7 -o neuroplast{x}
neuroplast {model} --min-value -0.1 --max-value 0.1 --seed 7 --json -o neuroplast-wide{x}
prune stroked{x} --sparsity .5 --criterion mi --initial {model} -o pruned-increase{x}
prune stroked{x} --sparsity .2 --in-place --json
average {model} stroked{x} pruned{x} --exp 0.9 --json -o mean{x}
merge stroked{x} pruned{x} --base {model} --method ties --density .5 -o ties{x}
merge stroked{x} --base {model} --method slerp --t .3 -o slerp{x}
merge stroked{x} pruned{x} --base {model} --method della --density .5 --seed 7 --json -o della{x}
merge stroked{x} pruned{x} --method linear --weight 1,3 --dry-run --json
rewind pruned{x} --initial {model} --seed 7 -o rewind{x}
rewind pruned{x} --initial stroked{x} --optimizer reset --seed 7 -o -
jitter pruned{x} --initial {model} --seed 7 -o jitter{x}
randomize pruned{x} --initial {model} --seed 7 -o randomize{x}
randomize pruned{x} --initial {model} --no-same-sign --keep-biases --seed 7 --json -o randomize-signs{x}
reshuffle pruned{x} --initial {model} --seed 7 -o reshuffle{x}
constant pruned{x} --initial {model} --seed 7 -o constant{x}
constant pruned{x} --initial {model} --value 0.05 --seed 7 --dry-run --json
swap {model} --to linked -o linked{x}
swap {model} --to linked --dry-run --json
swap {model} --to linked --fill initializer --optimizer reset --seed 7 -o -
swap linked{x} --to plain -o linked-plain{x}
swap {model} --to LKReLU --json -o lkrelu{x}
swap lkrelu{x} --to plain -o lkrelu-plain{x}
swap {model} --to autorot -o autorot-unlimited{x}
swap {model} --to autorot --xmin-lim 0 --xmax-lim 1 -o autorot-limited{x}
swap {model} --to autorot --xmin-lim 0 --xmax-lim 1 --L 1.5 -o autorot{x}
swap {model} --to autorot --xmin-lim 0 --xmax-lim 1 --L 1.5 --no-auto-rot --optimizer drop --dry-run --json
swap autorot{x} --to plain -o autorot-plain{x}
convert {model} -o converted.keras
convert {model} --optimizer drop -o converted-dropped.keras --json
convert {model} -o converted.weights.h5 --json
convert {model} --dry-run
convert {model} --dry-run --json
convert {model} --optimizer drop -o -
inspect converted.keras --json
inspect linked{x} --json
inspect autorot{x} --json
check linked{x} --json
check mean{x}
"""
"""What is done to each model, in this order, in a folder that holds the model and copies of it in `a/` and `b/`.

`{model}` is the model's name, `{x}` its extension, and `< {model}` the model on standard input."""

HOSTILE_COMMANDS = """
check {model}
check {model} --json
inspect {model}
inspect {model} --json
average {model} {model} -o {out}/average{x}
merge {model} {model} --base {model} --method ties --density .5 -o {out}/ties{x}
prune {model} --sparsity .5 -o {out}/pruned{x}
swap {model} --to linked -o {out}/linked{x}
convert {model} -o {out}/converted.keras
convert {model} -o {out}/converted.weights.h5
"""
"""What is done to each hostile file, in its own folder."""

FOLDER_COMMANDS = """
inspect {model} --json
check {model}
check {model} --json
prune {model} --sparsity .5 -o pruned/ --json
prune {model} --sparsity .5 -o pruned/ -j 2
stroke {model} --seed 7 -o stroked/ -j 2
convert {model} -o converted/ --optimizer drop
convert {model} -o converted/ --optimizer drop --json -j 2
"""
"""What is done to a folder of models as a whole."""

HOSTILE_FOLDER_COMMANDS = """
check {model}
check {model} --json
inspect {model}
"""

SUFFIXES = (".keras", ".h5", ".hdf5", ".weights.json")
LONG_SUFFIXES = (".weights.h5", ".weights.json", ".lora.h5")
SHARD = re.compile(r"(.+)_\d{5}\.weights\.h5")
MANIFEST = "manifest.json"
"""A file of this name in a folder says that the folder's files are hostile."""

WORKERS = 2
USUAL_SIZE = 60_000  # of a small model with an optimizer
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where models are copied and written: in memory, where that can be had, since each output waits for the disk."""

ENVIRONMENT = {"COLUMNS": "100", "TERM": "dumb", "LC_ALL": "C.UTF-8", "TF_CPP_MIN_LOG_LEVEL": "3"}
CODE = Path(wtool.__file__).resolve().parent.parent
TIME = re.compile(r" written in [0-9.]+ s\b")
"""How long a batch took."""

WARNING = re.compile(r"^\S+\.py:\d+: (\w*Warning: .*)\n(?:  .*\n)?", re.MULTILINE)
DRAFT = re.compile(r"(\.wtool-)[0-9a-f]{16}")
EXAMPLES = 3
FIELDS = ("status", "files", "stdout", "stderr")


# Which models


@dataclass(frozen=True, slots=True)
class Item:
    """A model, a hostile file, or a folder of either.

    Attributes:
        name: the key in the record: the path below the given folder, after that folder's own name.
        path: of the file or folder.
        is_hostile: whether the file, or what is in the folder, is hostile.
    """

    name: str
    path: Path
    is_hostile: bool

    @property
    def is_folder(self) -> bool:
        """Whether the item is a folder of models, and no model."""
        return self.name.endswith("/")

    @property
    def commands(self) -> list[str]:
        """The commands to run."""
        if self.is_folder:
            text = HOSTILE_FOLDER_COMMANDS if self.is_hostile else FOLDER_COMMANDS
        else:
            text = HOSTILE_COMMANDS if self.is_hostile else MODEL_COMMANDS
        return text.strip().splitlines()

    @property
    def features(self) -> set[tuple[str, str]]:
        """What a sample has to have one of: folders, forms, and kinds of models."""
        if self.is_folder:
            return {("folder", str(self.is_hostile))}
        name = self.path.name
        kind = name.partition("_")[0] if self.is_hostile else stem(name)
        return {("parent", self.path.parent.name), ("form", extension(name)), ("kind", kind)}

    @property
    def is_weights(self) -> bool:
        """Whether the file is called like one that holds weights only."""
        return "weights" in self.path.name

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for path in files_of(self.path))


def extension(name: str) -> str:
    """The extension of a model's name; both parts of it in `.weights.h5`."""
    return next((long for long in LONG_SUFFIXES if name.lower().endswith(long)), os.path.splitext(name)[1])


def stem(name: str) -> str:
    """A model's name without its extension and form."""
    return name.removesuffix(extension(name)).removesuffix("_weights_only")


def files_of(path: Path) -> list[Path]:
    """The files that a path means: a folder's files, or a model with its shards."""
    if path.is_dir():
        return sorted(each for each in path.rglob("*") if each.is_file())
    if not path.name.endswith(".weights.json"):
        return [path]
    shards = (SHARD.fullmatch(each.name) for each in path.parent.iterdir())
    names = (found[0] for found in shards if found and found[1] == stem(path.name))
    return [path, *sorted(path.parent / name for name in names)]


def items_in(folder: Path) -> Iterator[Item]:
    """Every model and hostile file below a folder, and every folder that holds some of them."""
    for here, folders, names in os.walk(folder):
        is_hostile = MANIFEST in names
        place = Path(folder.name, Path(here).relative_to(folder))
        found = sorted(names) if not is_hostile else sorted({*names, *folders} - {MANIFEST})
        folders[:] = [] if is_hostile else sorted(folders)
        models = [name for name in found if is_hostile or is_model_name(name)]
        yield from (Item(str(place / name), Path(here, name), is_hostile) for name in models)
        if models:
            yield Item(f"{place}/", Path(here), is_hostile)


def is_model_name(name: str) -> bool:
    """Whether a file is a model by its name, and no shard of one."""
    return name.endswith(SUFFIXES) and not SHARD.fullmatch(name)


def distinct(items: Iterable[Item]) -> list[Item]:
    """The items without those that have the name and the bytes of an earlier one."""
    found: dict[tuple[str, ...], Item] = {}
    for item in items:
        own = (item.name,) if item.is_folder else (item.path.name, *(sha256_of(each) for each in files_of(item.path)))
        found.setdefault(own, item)
    return list(found.values())


def sampled(items: Sequence[Item], count: int) -> list[Item]:
    """A few items that have as many different features as possible; always the same ones.

    Whole models are preferred to files of weights, which `swap` refuses, and files of the usual size to others.
    """
    waiting = sorted(items, key=lambda item: (item.is_weights, abs(item.size - USUAL_SIZE), item.name))
    seen: Counter[tuple[str, str]] = Counter()
    chosen: list[Item] = []
    while waiting and len(chosen) < count:
        best = max(waiting, key=lambda item: mean(1 / (1 + seen[each]) ** 2 for each in item.features))
        waiting.remove(best)
        chosen.append(best)
        seen.update(best.features)
    return sorted(chosen, key=lambda item: item.name)


# What commands do


def recorded(item: Item) -> tuple[str, Outcomes, float]:
    """Run an item's commands in a temporary folder. Returns its name, the outcomes and the seconds that they took."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="recorded-", dir=SCRATCH) as made:
        folder = Path(made).resolve()
        _fill(folder, item)
        os.chdir(item.path.parent if item.is_hostile else folder)
        named = {"model": item.path.name, "x": "" if item.is_folder else extension(item.path.name), "out": str(folder)}
        replaced = {str(folder): "<temporary>", str(item.path.parent.resolve()): "<folder>", str(CODE): "<code>"}
        outcomes: Outcomes = {}
        for command in item.commands:
            key = command if command not in outcomes else f"{command} (again)"
            outcomes[key] = _outcome([word.format(**named) for word in command.split()], folder, replaced)
        os.chdir("/")
    return item.name, outcomes, time.monotonic() - begin


def _fill(folder: Path, item: Item) -> None:
    """Copy the item into the temporary folder, and twice more below it; hostile files stay where they are."""
    if item.is_hostile:
        return
    if item.is_folder:
        shutil.copytree(item.path, folder / item.path.name)
        return
    for place in (folder, folder / "a", folder / "b"):
        place.mkdir(exist_ok=True)
        for path in files_of(item.path):
            shutil.copyfile(path, place / path.name)


def _outcome(words: list[str], folder: Path, replaced: dict[str, str]) -> Outcome:
    before = _stamps(folder)
    stdin = words[words.index("<") + 1] if "<" in words else os.devnull
    arguments = words[: words.index("<")] if "<" in words else words
    with _redirected(stdin) as streams, warnings.catch_warnings():  # which also forgets what was warned of before
        status = _status(arguments)
    stdout, stderr = streams
    after = _stamps(folder)
    changed = sorted(name for name, stamp in after.items() if before.get(name) != stamp)
    gone = sorted(before.keys() - after.keys())
    files = {DRAFT.sub(r"\1<random>", name): sha256_of(folder / name) for name in changed} | dict.fromkeys(gone, "gone")
    return {
        "status": status,
        "stdout": _shown(stdout, replaced),
        "stderr": _shown(stderr, replaced),
        "files": files,
    }


def _status(arguments: list[str]) -> int | str:
    """Run a command of wtool. Returns its exit status, or the error that it let through."""
    try:
        wtool.cli.main(arguments)
    except SystemExit as ended:
        return ended.code if ended.code is not None else 0
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@contextmanager
def _redirected(stdin: str) -> Iterator[list[bytes]]:
    """Redirect the standard streams, of child processes too. What was written is in the given list afterwards."""
    written: list[bytes] = []
    kept_streams, kept_files = (sys.stdin, sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    with tempfile.TemporaryFile(dir=SCRATCH) as out, tempfile.TemporaryFile(dir=SCRATCH) as error:
        try:
            os.dup2(out.fileno(), 1)
            os.dup2(error.fileno(), 2)
            sys.stdin = open(stdin, encoding="utf-8")  # noqa: SIM115 - closed below
            sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8")
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace")
            yield written
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            sys.stdin.close()
            sys.stdin, sys.stdout, sys.stderr = kept_streams
            for number, kept in enumerate(kept_files, 1):
                os.dup2(kept, number)
                os.close(kept)
        for file in (out, error):
            file.seek(0)
            written.append(file.read())


def _shown(output: bytes, replaced: dict[str, str]) -> str:
    """An output as text, without the names of temporary folders and the places of warnings; binary ones as a hash."""
    try:
        text = output.decode()
    except UnicodeDecodeError:
        return f"<{len(output)} bytes, SHA-256 {hashlib.sha256(output).hexdigest()}>"
    for path, word in replaced.items():
        text = text.replace(path, word)
    return TIME.sub(" written in <time>", DRAFT.sub(r"\1<random>", WARNING.sub(r"<code>: \1\n", text)))


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What tells whether a file was written: name of each file below a folder -> inode, size and time."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(here, name))
            path = os.path.relpath(os.path.join(here, name), folder)
            found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; of what is none, a word."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "<no file>"


# The record


def record(folders: Sequence[Path], target: Path, sample: int | None) -> None:
    """Run all commands on all models below the folders, and write the record."""
    begin = time.monotonic()
    items = distinct(item for folder in folders for item in items_in(folder.resolve()))
    items = items if sample is None else sampled(items, sample)
    print(f"{len(items)} models and folders, with the wtool of {CODE}", file=sys.stderr)
    found: dict[str, Outcomes] = {}
    seconds: dict[str, float] = {}
    os.environ.update(ENVIRONMENT)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the workers would be left behind
    with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as pool:
        largest_first = sorted(items, key=lambda item: (not item.is_folder, -item.size))
        futures = [pool.submit(recorded, item) for item in largest_first]
        try:
            for future in as_completed(futures):
                name, outcomes, seconds[name] = future.result()
                found[name] = outcomes
                if len(found) % 50 == 0:
                    print(
                        f"{len(found)} of {len(items)}, {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True
                    )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    about = {"code": str(CODE), "python": platform.python_version(), "machine": platform.machine()}
    about |= {name: version(name) for name in ("numpy", "h5py", "click", "rich", "blake3", "isal", "ml-dtypes")}
    whole = {"about": about, "records": {name: found[name] for name in sorted(found)}}
    target.write_text(json.dumps(whole, indent=1))
    _say_summary(found, seconds, time.monotonic() - begin)


def _say_summary(found: dict[str, Outcomes], seconds: dict[str, float], taken: float) -> None:
    outcomes = [outcome for each in found.values() for outcome in each.values()]
    statuses = Counter(str(outcome["status"]) for outcome in outcomes)
    files = sum(len(outcome["files"]) for outcome in outcomes)
    told = ", ".join(f"{count} with status {status}" for status, count in statuses.most_common())
    print(f"{len(outcomes)} commands ({told}) wrote {files} files in {taken:.0f} s", file=sys.stderr)
    slowest = sorted(seconds, key=lambda name: -seconds[name])[:5]
    print("slowest: " + ", ".join(f"{name} {seconds[name]:.1f} s" for name in slowest), file=sys.stderr)


# Comparing


def compare(one: Path, other: Path) -> int:
    """Print what differs between two records, in groups. Returns the exit status: 1 if anything differs."""
    left, right = json.loads(one.read_text()), json.loads(other.read_text())
    for name in sorted(left["about"].keys() | right["about"].keys()):
        if left["about"].get(name) != right["about"].get(name):
            print(f"note: {name}: {left['about'].get(name)} and {right['about'].get(name)}")
    groups = differences(left["records"], right["records"])
    for (command, field), places in sorted(groups.items(), key=lambda group: -len(group[1])):
        print(f"\n{len(places)} x {field}: {command}")
        for name, old, new in places[:EXAMPLES]:
            print(f"    {name}\n      - {old}\n      + {new}")
        if len(places) > EXAMPLES:
            print(
                f"    ... and {len(places) - EXAMPLES} more: {', '.join(name for name, *_ in places[EXAMPLES:])[:300]}"
            )
    commands = sum(len(each) for each in left["records"].values())
    count = sum(len(places) for places in groups.values())
    print(f"{len(left['records'])} models and folders, {commands} commands: {count or 'no'} differences")
    return 1 if groups else 0


def differences(
    left: dict[str, Outcomes], right: dict[str, Outcomes]
) -> dict[tuple[str, str], list[tuple[str, str, str]]]:
    """(command, what differs) -> name of the model, and the first difference on either side, for each place."""
    groups: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for name in sorted(left.keys() | right.keys()):
        if name not in left or name not in right:
            here = ("recorded", "not recorded")
            groups["any command", "only in one record"].append((name, *(here if name in left else here[::-1])))
            continue
        for command in dict.fromkeys([*left[name], *right[name]]):
            old, new = left[name].get(command), right[name].get(command)
            for field in FIELDS:
                first, second = (None if each is None else each[field] for each in (old, new))
                if first != second:
                    groups[command, field].append((name, *_first_difference(first, second)))
    return dict(groups)


def _first_difference(old: Any, new: Any) -> tuple[str, str]:
    """The first lines in which two values of a field differ, cut to where the difference is."""
    lines = [_lines(old), _lines(new)]
    length = max(map(len, lines))
    padded = [each + ["<nothing>"] * (length - len(each)) for each in lines]
    first, second = next(pair for pair in zip(*padded, strict=True) if pair[0] != pair[1])
    same = next(
        (at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
        min(map(len, (first, second))),
    )
    begin = max(0, same - 60)
    shown = ["..." * (begin > 0) + text[begin : begin + 200] for text in (first, second)]
    return shown[0], shown[1]


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name} {hashed}" for name, hashed in sorted(value.items())]
    return str(value).splitlines(keepends=False) + [""] * (str(value).endswith("\n"))


def main() -> int:
    """Read the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="folders of models, and the record's file")
    parser.add_argument("--sample", type=int, metavar="N", help="N models of as many kinds as possible")
    parser.add_argument("--compare", action="store_true", help="compare two records")
    chosen = parser.parse_args()
    if len(chosen.paths) < 2 or (chosen.compare and len(chosen.paths) != 2):
        parser.error("two records to compare, or folders and a file to write")
    if chosen.compare:
        return compare(*chosen.paths)
    record(chosen.paths[:-1], chosen.paths[-1], chosen.sample)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Every operation on the named hostile files of a folder, in one process: what was done besides, as JSON.

    python -m tests.hostile_run FOLDER NAME...

Python itself tells of files that are opened, code that is run, processes and sockets. What happens while modules are
imported is not looked at: the operations are done to a few harmless files first.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import wtool
from wtool.ops.stable import stable_text

FOLDER = Path(sys.argv[1]).resolve()


def _another_format(path: Path) -> str:
    return "converted.weights.h5" if path.suffix == ".keras" else "converted.keras"


RECIPE: list[Any] = [{"prune": {"sparsity": 0.5}}, {"stroke": {"seed": 1}}, "pack", {"prune": {"sparsity": 0.6}}]
"""A pass of two operations, and two more."""

OPERATIONS: dict[str, Any] = {
    "inspect": lambda path, out: wtool.inspect(path),
    "cost": lambda path, out: wtool.cost(path),
    "check": lambda path, out: wtool.check(path),
    "history": lambda path, out: wtool.history(path, verify=True),
    "replay": lambda path, out: wtool.replay(path, inputs=path, output=out),
    "report": lambda path, out: wtool.report(path, output=out.with_name("report.html"), against=path),
    "index": lambda path, out: wtool.index(path, output=out.with_name("index.jsonl"), fail_fast=True),
    "diff": lambda path, out: wtool.diff(path, path),
    "diff, another": lambda path, out: wtool.diff(FOLDER / HARMLESS[0], path),
    "stable": lambda path, out: stable_text(str(path)),
    "average": lambda path, out: wtool.average([path, path], output=out),
    "average, drop": lambda path, out: wtool.average([path], output=out, optimizer="drop"),
    "merge": lambda path, out: wtool.merge([path, path], method="ties", base=path, density=0.5, output=out),
    "merge, slerp": lambda path, out: wtool.merge(path, method="slerp", base=path, t=0.5, output=out),
    "ema": lambda path, out: wtool.ema(path, output=out),
    "ema, sigma_rel": lambda path, out: wtool.ema(path, sigma_rel=0.1, output=out),
    "patch": lambda path, out: wtool.patch(path, set=["*=0"], source=path, output=out),
    "patch, made": lambda path, out: wtool.make_patch(path, path, output=out.with_name("made.wpatch")),
    "align": lambda path, out: wtool.align(path, to=path, seed=1, output=out),
    "prune": lambda path, out: wtool.prune(path, sparsity=0.5, output=out),
    "stroke": lambda path, out: wtool.stroke(path, seed=1, output=out),
    "rewind": lambda path, out: wtool.rewind(path, initial=path, output=out),
    "swap": lambda path, out: wtool.swap(path, to="linked", output=out),
    "swap, rotating": lambda path, out: wtool.swap(path, to="autorot", L=1.0, xmin_lim=0.0, xmax_lim=1.0, output=out),
    "shrink": lambda path, out: wtool.shrink(path, sparsity=0.5, output=out),
    "convert": lambda path, out: wtool.convert(path, output=out.with_name(_another_format(path))),
    "pack": lambda path, out: wtool.pack(path, output=out),
    "run": lambda path, out: wtool.run_recipe(RECIPE, models=path, output=out),
    "randomize": lambda path, out: wtool.randomize(path, initial=path, seed=1, output=out),
}
HARMLESS = (
    "ok_base.keras",
    "ok_legacy.h5",
    "ok_base.weights.h5",
    "ok_chunked_gzip.keras",
    "shard_ok.weights.json",
    "ok_deflated.keras",
    "st_ok.safetensors",
)
WATCHED = ("exec", "compile", "import", "marshal.", "pickle.", "socket.", "urllib.", "ctypes.", "os.system", "os.exec")
done_besides: list[str] = []
watching = False
allowed: tuple[str, ...] = ()


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not watching:
        return
    if event.startswith(WATCHED):
        done_besides.append(f"{event} {str(arguments)[:200]}")
    elif event == "subprocess.Popen":
        program = [str(part) for part in arguments[1]]
        if program[:3] != [sys.executable, "-I", "-c"] or "wtool.hdf5.sandbox" not in program[3]:
            done_besides.append(f"{event} {program[:4]}")
    elif event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.realpath(os.fsdecode(arguments[0]))
        if not path.startswith(allowed):
            done_besides.append(f"open {path}")


def processor_time() -> float:
    """Seconds of this process and of the child processes that have ended: a busy machine makes no difference."""
    return sum(os.times()[:4])


def attempt(name: str, path: Path, folder: Path) -> dict[str, Any]:
    suffix = next(end for end in (".weights.h5", ".weights.json", path.suffix) if path.name.endswith(end))
    before = hashlib.blake2b(path.read_bytes()).hexdigest()
    begin = processor_time()
    try:
        OPERATIONS[name](path, folder / f"out{suffix}")
        message = None
    except wtool.WtoolError as error:
        message = str(error)
    seconds = processor_time() - begin
    left = sorted(each.name for each in folder.iterdir())
    for each in folder.iterdir():
        each.unlink()
    same = hashlib.blake2b(path.read_bytes()).hexdigest() == before
    return {"operation": name, "file": path.name, "error": message, "seconds": seconds, "left": left, "same": same}


def own_peak() -> int:
    """In KiB. `getrusage` would begin with the size of the process that started this one."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    global watching, allowed
    sys.addaudithook(audit)
    results = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        os.chdir(folder)  # the audit does not tell in which open folder a name is opened: outputs are opened in theirs
        temporary = os.path.realpath(tempfile.gettempdir())
        allowed = (str(FOLDER) + os.sep, str(folder), "/proc/", "/dev/null", temporary + os.sep, temporary, sys.prefix)
        for name in HARMLESS:
            for operation in OPERATIONS:
                if (FOLDER / name).exists():
                    attempt(operation, FOLDER / name, folder)
        for name in sys.argv[2:]:
            for operation in OPERATIONS:
                done_besides.clear()
                watching = True
                result = attempt(operation, FOLDER / name, folder)
                watching = False
                results.append({**result, "besides": list(done_besides)})
    peak = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    json.dump({"results": results, "operations": list(OPERATIONS), "peak": peak}, sys.stdout)


if __name__ == "__main__":
    main()

"""Time and memory of wtool against the work that cannot be avoided, against Keras and against mergekit.

    python tests/bench/run.py build/bench [--only PART,PART] [--write] [--smoke]

The models come from make_models.py. Each part of the benchmark is a module with a function `report`; in it, the
contenders take turns after a warm-up whose outputs are compared, and figures are medians with the least and the most
beside them. The tables go to standard output, and with `--write` into docs/bench.md; the exit status is 1 when a target
is missed. `WTOOL` names another wtool command, `MERGEKIT_PYTHON` a Python that has mergekit.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from report import Target, publish
from turns import Turns, say

PARTS = ("start", "averages", "merges", "transforms", "zoo", "growth", "executors", "training", "shrunk", "remote")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where make_models.py put the models")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/bench.md")
    parser.add_argument("--smoke", action="store_true", help="two checkpoints, one turn, nothing written or judged")
    words = parser.parse_args()
    names = words.only.split(",")
    if unknown := set(names) - set(PARTS):
        parser.error(f"no parts: {', '.join(sorted(unknown))}")
    turns = Turns(words.folder.resolve(), words.smoke)
    targets: list[Target] = []
    for name in names:
        began = time.perf_counter()
        report = importlib.import_module(name).report(turns)
        print(f"\n## {name}\n\n{report.text()}", flush=True)
        say(f"{name}: {time.perf_counter() - began:.0f} s")
        targets += report.targets
        if words.write and not words.smoke:
            publish(name, report)
    return 0 if words.smoke or all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())

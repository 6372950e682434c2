"""`wtool average` of checkpoints in stores, against reading the same objects with fsspec."""

from __future__ import annotations

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path

import contenders
from report import Report, Target, at_most, run_table, seconds
from report import table as table_of
from stores import ROOT, STORES, Store
from turns import Turns, say


def report(turns: Turns) -> Report:
    inputs = turns.models("resnet50", 10)
    here = turns.out / "average-of-files.keras"
    say(f"wtool average of files: {turns.once(contenders.wtool(turns.command, inputs, here)).seconds:.2f} s")
    objects = turns.out / "objects"
    contenders.remove(objects)
    (objects / "zoo").mkdir(parents=True)
    for path in inputs:
        os.link(path, objects / "zoo" / path.name)
    tables: list[str] = []
    targets: list[Target] = []
    for store in STORES:
        table, judged = of_store(turns, store, objects, len(inputs), here)
        tables.append(table)
        targets += judged
    table, judged = fetched(turns)
    return Report([*tables, table], [*targets, *judged])


def fetched(turns: Turns) -> tuple[str, list[Target]]:
    """Requests and bytes of commands on single models in S3, which moto counts."""
    dense = turns.out / "dense.keras"
    subprocess.run([sys.executable, "-m", "tests.remote.large", str(dense), "4", "2560"], cwd=ROOT, check=True)
    models = {
        "ResNet-20, 1.3 MB": turns.models("zoo", 1)[0],
        "ResNet50, 103 MB": turns.models("resnet50", 1)[0],
        "four dense layers, 105 MB": dense,
    }
    rows = []
    for name, path in models.items():
        done = subprocess.run(
            [sys.executable, "-m", "tests.remote.counted", str(path)], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        (counts,) = json.loads(done.stdout).values()
        for words, each in counts.items():
            rows.append(
                [f"`{words}`: {name}", str(each["requests"]), str(each["rounds"]), f"{each['bytes'] / 1e6:.2f}"]
            )
            say(" ".join(rows[-1]))
    few = counts["inspect"]
    return table_of(["what commands fetch", "requests", "one after the other", "MB"], rows), [
        at_most("requests of `wtool inspect`, four dense layers", few["requests"], 6, ""),
        at_most("what it fetches", few["bytes"] / 1e6, 2, " MB"),
    ]


def of_store(turns: Turns, store: Store, objects: Path, count: int, average_of_files: Path) -> tuple[str, list[Target]]:
    """Runs of `cat_file` and of `wtool average`, whose result is compared with that of the files."""
    out = turns.out / "average-of-objects.keras"
    with store.serving(objects) as env:
        addresses = [f"s3://zoo/ckpt-{number}.keras" for number in range(1, count + 1)]
        reading = contenders.cat_objects(addresses, env)
        averaging = contenders.wtool(turns.command, addresses, out, env)
        say(store.name)
        rounds = turns.warm([reading, averaging])
        if not filecmp.cmp(out, average_of_files, shallow=False):
            raise SystemExit(f"the average of objects is another one than that of files: {store.name}")
        runs = turns.take([reading, averaging], rounds)
    return run_table(f"ten of ResNet50, 103 MB each, in {store.name}", runs), [
        at_most(
            f"`wtool average` to `cat_file`, {store.name}",
            seconds(runs[averaging.name]) / seconds(runs[reading.name]),
            1.3,
        ),
        at_most("its peak memory", max(run.peak_mb for run in runs[averaging.name]), 200, " MB"),
    ]

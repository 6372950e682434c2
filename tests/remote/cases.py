"""Every command on models, with and without addresses in place of paths: what is run, and on which files.

In the words of a case, `{i}` stands before the name of each input and `{o}` before that of each output: nothing for
files in the current folder, or the address of a store such as `s3://zoo/`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES

OUTPUT = re.compile(r"\{o\}([\w./-]+)")


@dataclass(frozen=True)
class Case:
    """A command, and what comes of it.

    Attributes:
        words: behind `wtool`.
        status: with which it ends.
        training: whether it takes TensorFlow.
        kept_here: the pattern of results that are always in the current folder.
        tells_places: whether its results say where its inputs lie, or when Keras saved them, so that they differ.
    """

    words: str
    status: int = 0
    training: bool = False
    kept_here: str = ""
    tells_places: bool = False

    @property
    def outputs(self) -> list[str]:
        """The names of the results that may be in a store."""
        return OUTPUT.findall(self.words)

    @property
    def results(self) -> str:
        """The pattern of the results where none is in a store."""
        return self.outputs[0] if self.outputs else self.kept_here or "none"

    def at(self, inputs: str, outputs: str) -> list[str]:
        """Returns the words, with what stands before the names of inputs and of outputs."""
        return self.words.format(i=inputs, o=outputs).split()


CASES = {
    "align": Case("align {i}b.keras --to {i}a.keras --seed 1 -o {o}aligned.keras"),
    "average": Case("average {i}a.keras {i}b.keras --exp .9 -o {o}mean.keras"),
    "check": Case("check {i}a.keras {i}old.h5 --json"),
    "constant": Case("constant {i}pruned.keras --initial {i}init.keras --seed 1 -o {o}constant.keras"),
    "convert": Case("convert {i}old.h5 -o {o}new.keras"),
    "diff": Case("diff {i}a.keras {i}pruned.keras --json", status=1),
    "ema": Case("ema {i}ema.keras -o {o}averaged.keras"),
    "evaluate": Case("evaluate {i}a.keras --data {i}data.npz --json", training=True),
    "history": Case("history {i}pruned.keras --json"),
    "inspect": Case("inspect {i}a.keras --statistics --json"),
    "index": Case("index {i}a.keras {i}old.h5 -o {o}zoo.jsonl", tells_places=True),
    "jitter": Case("jitter {i}pruned.keras --initial {i}init.keras --seed 1 -o {o}jittered.keras"),
    "lottery": Case(
        "lottery {i}init.keras --data {i}data.npz --epochs 1 --sparsity .5 --seed 1 --out run",
        training=True,
        kept_here="run/**/*.keras",
        tells_places=True,
    ),
    "merge": Case("merge {i}a.keras {i}b.keras --base {i}init.keras --method ties --density .5 -o {o}merged.keras"),
    "neuroplast": Case("neuroplast {i}a.keras --min-value -.05 --max-value .05 --seed 1 -o {o}regrown.keras"),
    "pack": Case("pack {i}a.keras -o {o}packed.keras"),
    "patch": Case("patch {i}a.keras --set output/bias=0 -o {o}patched.keras"),
    "plot": Case("plot {i}a.keras -o {o}a.svg"),
    "prune": Case("prune {i}a.keras --sparsity .8 --scope global -o {o}sparse.keras"),
    "randomize": Case("randomize {i}pruned.keras --initial {i}init.keras --seed 1 -o {o}random.keras"),
    "recalibrate": Case("recalibrate {i}bn.keras --data {i}data.npz --exact -o {o}good.keras", training=True),
    "replay": Case("replay {i}pruned.keras --inputs {i}a.keras -o {o}again.keras"),
    "report": Case("report {i}a.keras -o {o}report.html", tells_places=True),
    "reshuffle": Case("reshuffle {i}pruned.keras --initial {i}init.keras --seed 1 -o {o}reshuffled.keras"),
    "resume": Case(
        "resume {i}a.keras --data {i}data.npz --epochs 1 --seed 1 -o {o}trained.keras", training=True, tells_places=True
    ),
    "rewind": Case("rewind {i}pruned.keras --initial {i}init.keras -o {o}ticket.keras"),
    "run": Case("run {i}thin.yaml {i}pruned.keras -o {o}thin.keras"),
    "shrink": Case("shrink {i}a.keras --sparsity .5 -o {o}small.keras"),
    "soup": Case("soup {i}a.keras {i}b.keras --data {i}data.npz -o {o}soup.keras", training=True),
    "stroke": Case("stroke {i}a.keras --volatility-ratio .1 --seed 1 -o {o}stroked.keras"),
    "swap": Case("swap {i}a.keras --to linked -o {o}linked.keras"),
}
"""Command -> its case."""

WITHOUT = {
    "completion": "opens no model",
    "help": "opens no model",
}
"""Commands that take no addresses -> the reason."""


RECIPE = "- prune: {sparsity: .6}\n- stroke: {seed: 1}\n"

FUNCTIONS: dict[str, Callable[[str, str], Any]] = {
    "align": lambda i, o: wtool.align(f"{i}b.keras", to=f"{i}a.keras", seed=1, output=f"{o}aligned.keras"),
    "average": lambda i, o: wtool.average([f"{i}a.keras", f"{i}b.keras"], decay=0.9, output=f"{o}mean.keras"),
    "check": lambda i, o: [wtool.check(f"{i}{name}") for name in ("a.keras", "old.h5")],
    "constant": lambda i, o: wtool.constant(
        f"{i}pruned.keras", initial=f"{i}init.keras", seed=1, output=f"{o}constant.keras"
    ),
    "convert": lambda i, o: wtool.convert(f"{i}old.h5", output=f"{o}new.keras"),
    "diff": lambda i, o: wtool.diff(f"{i}a.keras", f"{i}pruned.keras"),
    "ema": lambda i, o: wtool.ema(f"{i}ema.keras", output=f"{o}averaged.keras"),
    "evaluate": lambda i, o: wtool.evaluate(f"{i}a.keras", data=f"{i}data.npz"),
    "history": lambda i, o: wtool.history(f"{i}pruned.keras"),
    "index": lambda i, o: wtool.index([f"{i}a.keras", f"{i}old.h5"], output=f"{o}zoo.jsonl"),
    "inspect": lambda i, o: wtool.inspect(f"{i}a.keras", statistics=True),
    "jitter": lambda i, o: wtool.jitter(
        f"{i}pruned.keras", initial=f"{i}init.keras", seed=1, output=f"{o}jittered.keras"
    ),
    "lottery": lambda i, o: wtool.lottery(
        f"{i}init.keras", data=f"{i}data.npz", epochs=1, sparsity=0.5, seed=1, out="run"
    ),
    "merge": lambda i, o: wtool.merge(
        [f"{i}a.keras", f"{i}b.keras"], base=f"{i}init.keras", method="ties", density=0.5, output=f"{o}merged.keras"
    ),
    "neuroplast": lambda i, o: wtool.neuroplast(
        f"{i}a.keras", min_value=-0.05, max_value=0.05, seed=1, output=f"{o}regrown.keras"
    ),
    "pack": lambda i, o: wtool.pack(f"{i}a.keras", output=f"{o}packed.keras"),
    "patch": lambda i, o: wtool.patch(f"{i}a.keras", set=["output/bias=0"], output=f"{o}patched.keras"),
    "plot": lambda i, o: wtool.plot(f"{i}a.keras", output=f"{o}a.svg"),
    "prune": lambda i, o: wtool.prune(f"{i}a.keras", sparsity=0.8, scope="global", output=f"{o}sparse.keras"),
    "randomize": lambda i, o: wtool.randomize(
        f"{i}pruned.keras", initial=f"{i}init.keras", seed=1, output=f"{o}random.keras"
    ),
    "recalibrate": lambda i, o: wtool.recalibrate(
        f"{i}bn.keras", data=f"{i}data.npz", exact=True, output=f"{o}good.keras"
    ),
    "replay": lambda i, o: wtool.replay(f"{i}pruned.keras", inputs=[f"{i}a.keras"], output=f"{o}again.keras"),
    "report": lambda i, o: wtool.report(f"{i}a.keras", output=f"{o}report.html"),
    "reshuffle": lambda i, o: wtool.reshuffle(
        f"{i}pruned.keras", initial=f"{i}init.keras", seed=1, output=f"{o}reshuffled.keras"
    ),
    "resume": lambda i, o: wtool.resume(
        f"{i}a.keras", data=f"{i}data.npz", epochs=1, seed=1, output=f"{o}trained.keras"
    ),
    "rewind": lambda i, o: wtool.rewind(f"{i}pruned.keras", initial=f"{i}init.keras", output=f"{o}ticket.keras"),
    "run": lambda i, o: wtool.run_recipe(
        [{"prune": {"sparsity": 0.6}}, {"stroke": {"seed": 1}}],
        models=f"{i}pruned.keras",
        output=f"{o}thin.keras",
    ),
    "shrink": lambda i, o: wtool.shrink(f"{i}a.keras", sparsity=0.5, output=f"{o}small.keras"),
    "soup": lambda i, o: wtool.soup([f"{i}a.keras", f"{i}b.keras"], data=f"{i}data.npz", output=f"{o}soup.keras"),
    "stroke": lambda i, o: wtool.stroke(f"{i}a.keras", volatility_ratio=0.1, seed=1, output=f"{o}stroked.keras"),
    "swap": lambda i, o: wtool.swap(f"{i}a.keras", to="linked", output=f"{o}linked.keras"),
}
"""Command -> its case as a call of the Python function of its name."""


def fill(folder: Path) -> None:
    """Makes the files that the cases speak of."""
    zoo = FIXTURES / "zoo"
    named = {
        "init.keras": BLOBS[0],
        "a.keras": BLOBS[8],
        "b.keras": BLOBS[9],
        "bn.keras": FIXTURES / "bn" / "ckpt-10.keras",
        "ema.keras": zoo / "k3.6.0" / "ema_adamw.keras",
        "old.h5": zoo / "tf2.10" / "mlp.h5",
    }
    for name, path in named.items():
        shutil.copyfile(path, folder / name)
    with np.load(FIXTURES / "blobs" / "data.npz") as data:
        np.savez(folder / "data.npz", x=data["test_x"][:64], y=data["test_y"][:64])
    (folder / "thin.yaml").write_text(RECIPE)
    argv = forkserver.wtool("prune", "a.keras", "--sparsity", ".5", "-o", "pruned.keras", "-q")
    subprocess.run(argv, cwd=folder, check=True)

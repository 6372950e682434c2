"""Time and memory of wtool against the least that is possible, against Keras and against mergekit.

    python tests/bench/run.py build/bench [--smoke]

The models come from make_models.py. Everything is measured in one run: one warm-up of each contender, whose outputs
are compared, then the contenders take turns, so that noise hits all alike; the figures are medians. The tables go to
standard output and into docs/bench.md; the exit status is 1 when a target is missed. `--smoke` takes two checkpoints
and one turn, and writes and judges nothing. `WTOOL` names another wtool command, `MERGEKIT_PYTHON` a Python that has
mergekit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import contenders
from contenders import Contender, Run, measure

DOCS = contenders.HERE.parents[1] / "docs" / "bench.md"
BEGIN, END = "<!-- made by make bench: begin -->", "<!-- made by make bench: end -->"
ROUNDS, HELP_ROUNDS, MEMORY_ROUNDS = 5, 20, 3
SLOW, SLOW_ROUNDS = 60.0, 2
KERAS_MODELS = 40
SHRUNK_HEAD = ["half of the channels, half of the weights", "parameters, M", "multiply-adds, M", "MB", "ms", "speed"]


@dataclass(frozen=True)
class Target:
    what: str
    measured: float | None
    limit: str
    met: bool
    unit: str = "x"

    def row(self) -> list[str]:
        shown = "not measured" if self.measured is None else f"{self.measured:.2f}{self.unit}"
        return [
            self.what,
            shown,
            self.limit,
            "skipped" if self.measured is None else "pass" if self.met else "**fail**",
        ]


def at_most(what: str, value: float | None, limit: float, unit: str = "x") -> Target:
    return Target(what, value, f"at most {limit:g}{unit}", value is None or value <= limit, unit)


def at_least(what: str, value: float | None, limit: float, unit: str = "x") -> Target:
    return Target(what, value, f"at least {limit:g}{unit}", value is None or value >= limit, unit)


class Bench:
    def __init__(self, folder: Path, smoke: bool) -> None:
        self.folder, self.smoke = folder, smoke
        self.command = shlex.split(os.environ.get("WTOOL", "")) or [str(Path(sys.executable).parent / "wtool")]
        self.small = [folder / "resnet50" / f"ckpt-{number}.keras" for number in range(1, 21)]
        self.wide = [folder / "wide" / f"ckpt-{number}.keras" for number in range(1, 11)]
        self.out = folder / "out"
        self.out.mkdir(exist_ok=True)

    def measure(self, contender: Contender) -> Run:
        return measure(contender, self.out / "last.log")

    def mergekit(self, inputs: Sequence[Path]) -> Contender | None:
        """mergekit on the same tensors as safetensors, or None where it is not installed."""
        lines = ["merge_method: linear", "models:"]
        for age, path in enumerate(reversed(inputs)):
            lines.append(f"  - model: {self.safetensors(path)}")
            lines.append(f"    parameters: {{weight: {contenders.DECAY**age!r}}}")
        return self.mergekit_of("linear", lines, inputs)

    def mergekit_of(self, method: str, lines: Sequence[str], inputs: Sequence[Path]) -> Contender | None:
        python = os.environ.get("MERGEKIT_PYTHON") or (
            sys.executable if importlib.util.find_spec("mergekit") is not None else None
        )
        if python is None:
            return None
        folder = self.folder / "safetensors"
        folder.mkdir(exist_ok=True)
        self.helper("safetensors", str(folder), *map(str, inputs))
        config = self.out / f"mergekit-{method}.yml"
        config.write_text("\n".join(lines) + "\n")
        return contenders.mergekit(python, config, self.out / f"mergekit-{method}", method)

    def safetensors(self, model: Path) -> Path:
        return self.folder / "safetensors" / f"{model.stem}.safetensors"

    def helper(self, *words: str) -> None:
        subprocess.run([sys.executable, str(contenders.HERE / "tensors.py"), *words], check=True)

    def averages(self) -> dict[str, list[Run]]:
        """Runs of everything that averages ten checkpoints (two, in a smoke run)."""
        inputs = self.small[:2] if self.smoke else self.small[:10]
        mine, theirs = self.out / "wtool.keras", self.out / "keras.keras"
        taking_part = [
            contenders.floor(inputs, self.out / "floor.keras"),
            contenders.wtool(self.command, inputs, mine),
            contenders.keras(inputs, theirs),
        ]
        mergekit = self.mergekit(inputs)
        if mergekit is not None:
            taking_part.append(mergekit)

        rounds = {}
        for contender in taking_part:
            seconds = self.measure(contender).seconds
            rounds[contender.name] = 1 if self.smoke else SLOW_ROUNDS if seconds > SLOW else ROUNDS
            say(f"warm-up: {contender.name} {seconds:.2f} s")
        self.helper("compare", str(mine), str(theirs))
        if mergekit is not None:
            self.helper("compare", str(mine), str(self.out / "mergekit-linear"))
        say("the outputs agree")

        return self.in_turns(taking_part, rounds)

    def merges(self) -> dict[str, dict[str, list[Run]]]:
        """Method -> runs of the floor, of wtool and of mergekit, merging models with the base that they come from."""
        base, *models = self.small[: 3 if self.smoke else 4]
        tables = {}
        for method, inputs, number in (("ties", models, "density: .3"), ("slerp", models[:1], "t: .5")):
            mine = self.out / f"{method}.keras"
            words = ["--method", method, "--base", str(base), f"--{number.split(':')[0]}", number.split()[1]]
            lines = [f"merge_method: {method}", f"base_model: {self.safetensors(base)}", "models:"]
            for path in inputs:
                lines.append(f"  - model: {self.safetensors(path)}")
                lines.append(f"    parameters: {{weight: 1.0, {number}}}" if method == "ties" else "")
            lines.append(f"parameters: {{{number}}}" if method == "slerp" else "")
            taking_part = [
                contenders.floor([base, *inputs], self.out / "floor.keras"),
                contenders.wtool_merge(self.command, words, inputs, mine),
            ]
            mergekit = self.mergekit_of(method, lines, [base, *inputs])
            if mergekit is not None:
                taking_part.append(mergekit)
            for contender in taking_part:
                say(f"warm-up: {contender.name} {self.measure(contender).seconds:.2f} s")
            if mergekit is not None:
                self.helper("merged", str(mine), str(self.out / f"mergekit-{method}"))
                say("the outputs agree")
            rounds = {each.name: 1 if self.smoke else ROUNDS for each in taking_part}
            tables[method] = self.in_turns(taking_part, rounds)
        return tables

    def large(self) -> dict[str, list[Run]]:
        """Runs of the floor and of wtool on ten checkpoints four times as large, where starting up hardly counts."""
        inputs = self.wide[:2] if self.smoke else self.wide
        taking_part = [
            contenders.floor(inputs, self.out / "floor.keras"),
            contenders.wtool(self.command, inputs, self.out / "wtool.keras"),
        ]
        for contender in taking_part:
            self.measure(contender)
        return self.in_turns(taking_part, {each.name: 1 if self.smoke else ROUNDS for each in taking_part})

    def transforms(self, name: str) -> dict[str, list[Run]]:
        """Runs of `cp` and of two transforms on one model."""
        model, out = self.folder / name / "ckpt-1.keras", self.out / "transformed.keras"
        taking_part = [
            contenders.copy(model, self.out / "copy.keras"),
            contenders.wtool_on(self.command, ["prune", "--sparsity", ".8", "--scope", "global"], model, out),
            contenders.wtool_on(self.command, ["stroke"], model, out),
        ]
        for contender in taking_part:
            self.measure(contender)
        return self.in_turns(taking_part, {each.name: 1 if self.smoke else ROUNDS for each in taking_part})

    def conversions(self) -> dict[str, list[Run]]:
        """Runs of `cp` on a model of Keras 2, and of conversions of a small model and of that one."""
        folder, out = self.folder / "old", self.out / "converted.keras"
        small, model = folder / "small.h5", folder / "resnet50.h5"
        taking_part = [
            contenders.copy(model, self.out / "copy.h5"),
            contenders.wtool_on(self.command, ["convert"], small, out, " small.h5"),
            contenders.wtool_on(self.command, ["convert"], model, out),
        ]
        for contender in taking_part:
            self.measure(contender)
        return self.in_turns(taking_part, {each.name: 1 if self.smoke else ROUNDS for each in taking_part})

    def shrinking(self) -> dict[str, list[Run]]:
        """Runs of `cp` on ResNet50, of `wtool shrink` of a small model and of that one, and of `wtool prune`."""
        small, model = self.folder / "small" / "ckpt-1.keras", self.small[0]
        out = self.out / "shrunk.keras"
        taking_part = [
            contenders.copy(model, self.out / "copy.keras"),
            contenders.wtool_on(self.command, ["shrink", "--sparsity", ".5"], small, out, " of a small model"),
            contenders.wtool_on(self.command, ["shrink", "--sparsity", ".5"], model, out),
            contenders.wtool_on(self.command, ["prune", "--sparsity", ".5"], model, out),
        ]
        for contender in taking_part:
            self.measure(contender)
        return self.in_turns(taking_part, {each.name: 1 if self.smoke else ROUNDS for each in taking_part})

    def shrunk(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Model -> `dense`, `pruned` or `shrunk` -> its size and its speed, as `shrunk_speed.py` tells them."""
        figures = self.out / "shrunk.json"
        self.measure(contenders.shrunk_speed(self.smoke, self.out / "shrunk", figures))
        found: dict[str, dict[str, dict[str, Any]]] = json.loads(figures.read_text())
        for name, models in found.items():
            say(f"{name}: " + ", ".join(f"{how} {median(each['ms']):.1f} ms" for how, each in models.items()))
        return found

    def zoo(self) -> dict[str, list[float]]:
        """Seconds for each of many small models: wtool's whole run, and a Keras loop without its start."""
        folder, out, seconds = self.folder / "zoo", self.out / "zoo", self.out / "seconds"
        models = sorted(folder.glob("*.keras"))
        few = models[: 2 if self.smoke else KERAS_MODELS]
        mine = contenders.wtool_on(self.command, ["prune", "--sparsity", ".8", "-j", "2"], folder, out)
        theirs = contenders.keras_prune(few, ".8", self.out / "keras-zoo", seconds)
        self.measure(mine)
        self.measure(theirs)
        for path in few:
            self.helper("compare", str(out / path.name), str(self.out / "keras-zoo" / path.name))
        say("the outputs agree")
        each: dict[str, list[float]] = {mine.name: [], theirs.name: []}
        for _ in range(1 if self.smoke else ROUNDS):
            each[mine.name].append(self.measure(mine).seconds / len(models))
            self.measure(theirs)
            each[theirs.name].append(float(seconds.read_text()) / len(few))
        for name, found in each.items():
            say(f"{name}: " + " ".join(f"{value * 1000:.2f} ms" for value in found))
        return each

    def held(self) -> dict[str, dict[str, list[float]]]:
        """Model -> `plain` or `held` -> seconds of an epoch, one for each turn."""
        seconds = self.out / "held.json"
        self.measure(contenders.held_zeros(self.smoke, seconds))
        found: dict[str, dict[str, list[float]]] = json.loads(seconds.read_text())
        for name, both in found.items():
            for how, each in both.items():
                say(f"{name}, {how}: " + " ".join(f"{value:.2f}" for value in each))
        return found

    def in_turns(self, taking_part: Sequence[Contender], rounds: dict[str, int]) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {contender.name: [] for contender in taking_part}
        for turn in range(max(rounds.values())):
            for contender in taking_part:
                if turn < rounds[contender.name]:
                    runs[contender.name].append(self.measure(contender))
        for name, each in runs.items():
            say(f"{name}: " + " ".join(f"{run.seconds:.3f}" for run in each))
        return runs

    def memory(self) -> dict[str, float]:
        """wtool's peak memory in MB, the highest of a few runs, for several numbers and sizes of checkpoints."""
        sets = {
            "2 checkpoints": self.small[:2],
            "10 checkpoints": self.small[:10],
            "20 checkpoints": self.small[:20],
            "10 checkpoints, four times as large": self.wide,
        }
        peaks = {}
        for name, inputs in sets.items():
            if self.smoke:
                inputs = inputs[:2]
            contender = contenders.wtool(self.command, inputs, self.out / "memory.keras")
            peaks[name] = max(self.measure(contender).peak_mb for _ in range(1 if self.smoke else MEMORY_ROUNDS))
            say(f"{name}: {peaks[name]:.0f} MB")
        return peaks

    def steps(self) -> dict[str, dict[str, list[float]]]:
        """Comparison -> model -> seconds of a training step, one for each turn."""
        seconds = self.out / "steps.json"
        self.measure(contenders.training_step(self.smoke, seconds))
        found: dict[str, dict[str, list[float]]] = json.loads(seconds.read_text())
        for models in found.values():
            for name, each in models.items():
                say(f"{name}: " + " ".join(f"{value * 1000:.1f} ms" for value in each))
        return found

    def start(self) -> dict[str, list[Run]]:
        taking_part = [contenders.wtool_help(self.command), contenders.click_import()]
        for contender in taking_part:
            self.measure(contender)
        return self.in_turns(
            taking_part, dict.fromkeys((c.name for c in taking_part), 2 if self.smoke else HELP_ROUNDS)
        )


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists() and (found := re.search(r"model name\s*: (.*)", cpuinfo.read_text())):
        model = f" ({found[1]})"
    versions = []
    for name in ("wtool", "numpy", "h5py", "click", "keras", "tensorflow"):
        versions.append(f"{name} {importlib.metadata.version(name)}")
    if python := os.environ.get("MERGEKIT_PYTHON"):
        program = (
            "from importlib.metadata import version as v; print('mergekit', v('mergekit') + ', torch', v('torch'))"
        )
        versions.append(subprocess.run([python, "-c", program], text=True, capture_output=True).stdout.strip())
    return (
        f"Measured on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores{model}, {platform.system()}, "
        f"Python {platform.python_version()}; {', '.join(versions)}."
    )


def report(bench: Bench) -> tuple[str, list[Target]]:
    averages, large, peaks, start = bench.averages(), bench.large(), bench.memory(), bench.start()
    huge, usual_size, zoo = bench.transforms("huge"), bench.transforms("resnet50"), bench.zoo()
    each = {name: median(found) for name, found in zoo.items()}
    steps, conversions, merges = bench.steps(), bench.conversions(), bench.merges()
    shrinking, shrunk = bench.shrinking(), bench.shrunk()
    dense, convolutions, linked = ([median(found) for found in models.values()] for models in steps.values())
    held = {name: {how: median(found) for how, found in both.items()} for name, both in bench.held().items()}
    usual = peaks["10 checkpoints"]
    seconds = {name: median(run.seconds for run in runs) for name, runs in {**averages, **start}.items()}
    floor, mine = seconds["cat + cp"], seconds["wtool average"]
    other = seconds.get("mergekit linear")
    targets = [
        at_most("`wtool average` to the floor", mine / floor, 3),
        at_most("the same, models four times as large", medians(large, 1) / medians(large, 0), 3),
        at_least("Keras script to `wtool average`", seconds["Keras script"] / mine, 30),
        at_least("mergekit to `wtool average`", other and other / mine, 10),
        *(
            at_least(
                f"mergekit to `wtool merge --method {method}`",
                medians(runs, 2) / medians(runs, 1) if len(runs) > 2 else None,
                8,
            )
            for method, runs in merges.items()
        ),
        at_most(
            "peak memory of `wtool merge`",
            max(run.peak_mb for runs in merges.values() for run in list(runs.values())[1]),
            200,
            " MB",
        ),
        at_most("peak memory, highest", max(peaks.values()), 150, " MB"),
        at_most(
            "peak memory, farthest from that of 10", max(abs(peak / usual - 1) for peak in peaks.values()), 0.1, ""
        ),
        *(
            at_most(f"`{name}` to `cp`, 1 GB", medians(huge, position) / medians(huge, 0), 4)
            for position, name in enumerate(huge)
            if position
        ),
        *(
            at_most(
                f"`{name}` more than `cp`, ResNet50", medians(usual_size, position) - medians(usual_size, 0), 0.5, " s"
            )
            for position, name in enumerate(usual_size)
            if position
        ),
        at_most(
            "peak memory of these", max(run.peak_mb for runs in list(huge.values())[1:] for run in runs), 150, " MB"
        ),
        at_most(
            "`wtool convert` to `cp` and start-up, ResNet50 of Keras 2",
            medians(conversions, 2) / (medians(conversions, 0) + medians(conversions, 1)),
            3,
        ),
        at_most("peak memory of `wtool convert`", max(run.peak_mb for run in conversions["wtool convert"]), 150, " MB"),
        at_most(
            "`wtool shrink --sparsity .5` to `cp` and start-up, ResNet50",
            medians(shrinking, 2) / (medians(shrinking, 0) + medians(shrinking, 1)),
            5,
        ),
        at_most("peak memory of `wtool shrink`", max(run.peak_mb for run in list(shrinking.values())[2]), 200, " MB"),
        *(
            at_most(f"a batch of {name}, shrunk by half, to the dense model", _milliseconds(models, "shrunk"), 1)
            for name, models in shrunk.items()
        ),
        at_least("models per second, zoo, to the Keras loop", each["Keras loop"] / min(each.values()), 50),
        at_most("`wtool --help` to `import click`", seconds["wtool --help"] / seconds["import click"], 2),
        at_most("training step, `AutoRotDense` to `Dense`", dense[1] / dense[0], 1.15),
        at_most("training step, `AutoRotConv2D` to `Conv2D`", convolutions[1] / convolutions[0], 1.15),
        at_least(
            "training step, ReLU with BatchNormalization to LKReLU without, half the filters", linked[0] / linked[1], 1
        ),
        at_least("the same, equal filters", linked[0] / linked[3], 1),
        at_least("training step, LKReLU with BatchNormalization to LKReLU without", linked[2] / linked[3], 1),
        *(at_most(f"epoch with held zeros: {name}", both["held"] / both["plain"], 1.1) for name, both in held.items()),
    ]
    times = rows(averages)
    if other is None:
        times.append(["mergekit linear", "not installed", "", "", "0"])
    parts = [
        machine(),
        table(["ten checkpoints of ResNet50, 103 MB each", "seconds", "to the floor", "peak MB", "runs"], times),
        table(["ten checkpoints of 403 MB each", "seconds", "to the floor", "peak MB", "runs"], rows(large)),
        table(
            ["three of ResNet50 and their base, 103 MB each", "seconds", "to the floor", "peak MB", "runs"],
            rows(merges["ties"]),
        ),
        table(["one of ResNet50 and its base", "seconds", "to the floor", "peak MB", "runs"], rows(merges["slerp"])),
        table(["`wtool average`", "peak MB"], [[name, f"{peak:.0f}"] for name, peak in peaks.items()]),
        table(["one model of 1 GB", "seconds", "to `cp`", "peak MB", "runs"], rows(huge)),
        table(["ResNet50, 103 MB", "seconds", "to `cp`", "peak MB", "runs"], rows(usual_size)),
        table(["ResNet50 of Keras 2, 103 MB", "seconds", "to `cp`", "peak MB", "runs"], rows(conversions)),
        table(["ResNet50, 103 MB", "seconds", "to `cp`", "peak MB", "runs"], rows(shrinking)),
        table(SHRUNK_HEAD, shrunk_rows(shrunk)),
        table(
            ["500 models of 1.3 MB (ResNet-20)", "ms per model", "runs"],
            [[name, f"{each[name] * 1000:.2f}", str(len(found))] for name, found in zoo.items()],
        ),
        table(["start", "seconds", "runs"], [[name, f"{seconds[name]:.3f}", str(len(start[name]))] for name in start]),
        *(
            table([f"training step: {what}", "ms", "to the first", "turns"], step_rows(models))
            for what, models in steps.items()
        ),
        table(
            ["an epoch, four fifths of the weights zero", "plain `fit`, s", "zeros held, s"],
            [[name, f"{both['plain']:.3f}", f"{both['held']:.3f}"] for name, both in held.items()],
        ),
        table(["target", "measured", "limit", ""], [target.row() for target in targets]),
    ]
    return "\n\n".join(parts) + "\n", targets


def medians(runs: dict[str, list[Run]], position: int) -> float:
    return median(run.seconds for run in list(runs.values())[position])


def rows(runs: dict[str, list[Run]]) -> list[list[str]]:
    """A line for each contender; the first is the floor."""
    return [
        [
            name,
            f"{medians(runs, position):.2f}",
            f"{medians(runs, position) / medians(runs, 0):.1f}x",
            f"{max(run.peak_mb for run in each):.0f}",
            str(len(each)),
        ]
        for position, (name, each) in enumerate(runs.items())
    ]


def step_rows(models: dict[str, list[float]]) -> list[list[str]]:
    """A line for each model; the first is what the others are compared with."""
    each = {name: median(found) for name, found in models.items()}
    first = next(iter(each.values()))
    return [
        [name, f"{seconds * 1000:.1f}", f"{seconds / first:.2f}x", str(len(models[name]))]
        for name, seconds in each.items()
    ]


def shrunk_rows(found: dict[str, dict[str, dict[str, Any]]]) -> list[list[str]]:
    """Three lines for each model: as it is, pruned, and shrunk."""
    return [
        [
            f"{name}, {how}",
            f"{each['parameters'] / 1e6:.2f}",
            f"{each['multiply_adds'] / 1e6:.1f}",
            f"{each['bytes'] / 1e6:.1f}",
            f"{median(each['ms']):.1f}",
            f"{median(models['dense']['ms']) / median(each['ms']):.2f}x",
        ]
        for name, models in found.items()
        for how, each in models.items()
    ]


def _milliseconds(models: dict[str, dict[str, Any]], how: str) -> float:
    """Those of a batch, divided by those of the dense model."""
    return median(models[how]["ms"]) / median(models["dense"]["ms"])


def publish(text: str) -> None:
    page = DOCS.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCS.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where make_models.py put the models")
    parser.add_argument("--smoke", action="store_true", help="two checkpoints, one turn, nothing written or judged")
    words = parser.parse_args()
    text, targets = report(Bench(words.folder.resolve(), words.smoke))
    print(text)
    if words.smoke:
        return 0
    publish(text)
    return 0 if all(target.met for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())

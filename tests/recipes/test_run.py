"""Recipes done to models: what is read, written, skipped and told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, ZOO, arrays

pytest.importorskip("yaml")

THIN = "- prune: {sparsity: .3}\n- stroke: {volatility-ratio: .1, seed: 3}\n"
PACKED = f"{THIN}- pack\n- prune: {{sparsity: .5}}\n"
"""A recipe of three passes."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "zoo" / "deep").mkdir(parents=True)
    for number, path in enumerate(BLOBS[:3]):
        shutil.copy(path, tmp_path / "zoo" / ("deep" if number else "") / f"{'abc'[number]}.keras")
    shutil.copy(BLOBS[3], tmp_path / "m.keras")
    (tmp_path / "thin.yaml").write_text(THIN)
    (tmp_path / "packed.yaml").write_text(PACKED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: str, status: int = 0, **more: Any) -> tuple[str, str]:
    """What a command prints, on both streams."""
    done = subprocess.run(forkserver.wtool("run", *words), capture_output=True, text=True, check=False, **more)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_zoo_is_put_through_a_recipe(folder: Path) -> None:
    _, told = command("packed.yaml", "zoo", "-o", "one/")
    assert "3 done, 0 skipped, 0 failed" in told
    command("packed.yaml", "zoo", "-o", "two/", "-j", "2")
    assert files(folder / "one") == {"a.keras", "deep/b.keras", "deep/c.keras"}
    for name in files(folder / "one"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
        wtool.run_recipe("packed.yaml", models=f"zoo/{name}", output=f"alone-{Path(name).name}")
        assert (folder / f"alone-{Path(name).name}").read_bytes() == (folder / "one" / name).read_bytes()


def test_parts_of_a_zoo(folder: Path) -> None:
    for part in ("1/2", "2/2"):
        command("thin.yaml", "zoo", "-o", "out/", "--shard", part)
    assert len(files(folder / "out")) == 3


@pytest.mark.parametrize("recipe", ["thin.yaml", "packed.yaml"])
def test_what_is_there_is_skipped(recipe: str, folder: Path) -> None:
    """Also where the passes before the last one would have to be done to know its input."""
    (first,) = wtool.run_recipe(recipe, models="m.keras")
    out = folder / f"m-{recipe[:-5]}.keras"
    assert (first.output, first.outputs, first.skipped) == (out.name, (out.name,), False)
    (again,) = wtool.run_recipe(recipe, models="m.keras")
    assert (again.output, again.outputs, again.skipped) == (out.name, (), True)
    (folder / recipe).write_text((folder / recipe).read_text().replace("seed: 3", "seed: 4"))
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.run_recipe(recipe, models="m.keras")
    (other,) = wtool.run_recipe(recipe, models="m.keras", force=True)
    assert not other.skipped
    shutil.copy(BLOBS[4], folder / "m.keras")
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.run_recipe(recipe, models="m.keras")


def test_seeds_that_nobody_gave_may_be_any(folder: Path) -> None:
    (folder / "packed.yaml").write_text(PACKED.replace(", seed: 3", ""))
    assert [wtool.run_recipe("packed.yaml", models="m.keras")[0].skipped for _ in range(2)] == [False, True]


def test_inputs_names_and_outputs(folder: Path) -> None:
    (folder / "r.yaml").write_text("""\
inputs:
  init: zoo/a.keras
  others: [zoo/deep/b.keras, zoo/deep/c.keras]
steps:
  - prune: {sparsity: .8}
    name: mask
    output: masks/
  - rewind: {initial: init}
    of: mask
  - average: {order: given}
    of: [model, others]
    output: mean.keras
  - stroke: {seed: 1}
    name: struck
    of: mask
    output: struck/
  - merge: {method: linear}
    of: [init, struck]
""")
    with pytest.raises(wtool.Usage, match="nothing is made of what rewind makes here"):
        wtool.run_recipe("r.yaml", models="m.keras")
    text = (
        (folder / "r.yaml")
        .read_text()
        .replace("    of: mask\n  - average", "    of: mask\n    output: t/\n  - average")
    )
    (folder / "r.yaml").write_text(text)
    (done,) = wtool.run_recipe("r.yaml", models="m.keras", output="out.keras")
    assert done.outputs == ("masks/m.keras", "t/m.keras", "mean.keras", "struck/m.keras", "out.keras")
    wtool.prune("m.keras", sparsity=0.8, output="alone/")
    wtool.rewind("alone/m.keras", initial="zoo/a.keras", output="ticket.keras")
    wtool.average(["m.keras", "zoo/deep/b.keras", "zoo/deep/c.keras"], order="given", output="mean-alone.keras")
    for made, alone in [("masks/m", "alone/m"), ("t/m", "ticket"), ("mean", "mean-alone")]:
        assert Path(f"{made}.keras").read_bytes() == Path(f"{alone}.keras").read_bytes()
    (again,) = wtool.run_recipe("r.yaml", models="m.keras", output="out.keras")
    assert again.skipped


def test_a_recipe_that_names_all_it_reads(folder: Path) -> None:
    (folder / "mean.yaml").write_text("- average:\n  of: zoo\n- prune: {sparsity: .5}\n")
    (done,) = wtool.run_recipe("mean.yaml")
    assert (done.model, done.output) == ("mean.yaml", "mean.keras")
    wtool.average("zoo", output="alone.keras")
    wtool.prune("alone.keras", sparsity=0.5, output="pruned.keras")
    one, other = arrays(folder / "mean.keras"), arrays(folder / "pruned.keras")
    assert all(one[name].tobytes() == other[name].tobytes() for name in other)
    with pytest.raises(wtool.Usage, match="names all that it reads: no models"):
        wtool.run_recipe("mean.yaml", models="m.keras")
    with pytest.raises(wtool.Usage, match="takes a model: name one behind it"):
        wtool.run_recipe("thin.yaml")


def test_what_does_not_depend_on_the_models_is_made_once(folder: Path) -> None:
    (folder / "r.yaml").write_text("""\
- average:
  of: [zoo/a.keras, zoo/deep/b.keras]
  name: mean
  output: mean.keras
- rewind: {initial: mean}
  of: model
""")
    done = wtool.run_recipe("r.yaml", models=["m.keras", "zoo/deep/c.keras"], output="out/", jobs=2)
    assert [each.outputs for each in done] == [("out/m.keras",), ("out/c.keras",)]
    assert (folder / "mean.keras").exists()


def test_a_result_that_is_read_twice(folder: Path) -> None:
    steps: list[Any] = [
        {"prune": {"sparsity": 0.5}, "name": "mask"},
        {"stroke": {"seed": 1}, "of": "mask", "output": "one.keras"},
        {"stroke": {"seed": 2}, "of": "mask"},
    ]
    wtool.run_recipe(steps, models="m.keras", output="two.keras")
    for seed, name in ((1, "one"), (2, "two")):
        wtool.run_recipe([steps[0], {"stroke": {"seed": seed}}], models="m.keras", output=f"alone-{name}.keras")
        assert Path(f"{name}.keras").read_bytes() == Path(f"alone-{name}.keras").read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["thin.yaml", "m.keras", "-o", "m.keras"], "would write m.keras, which it reads as well"),
        (["out.yaml", "m.keras", "-o", "b.keras"], "its last step has an output, and --output would be another one"),
        (["out.yaml", "zoo"], "called like a file, but a folder may hold many models"),
        (["twice.yaml", "m.keras"], "two steps would write a.keras"),
        (["thin.yaml", "zoo/a.keras", "m.keras", "-o", "-"], "2 models, and standard output takes one"),
        (["both.yaml", "-", "-o", "o.keras"], "reads the model and 1 other result as through pipes"),
        (["thin.yaml", "none.keras"], "none.keras: thin.yaml:1: prune: No such file or directory"),
    ],
)
def test_misuse(words: list[str], told: str, folder: Path) -> None:
    (folder / "out.yaml").write_text("- prune: {sparsity: .5}\n  output: a.keras\n")
    (folder / "twice.yaml").write_text("- pack:\n  output: a.keras\n- pack:\n  output: a.keras\n")
    (folder / "both.yaml").write_text("- prune: {sparsity: .5}\n- rewind: {initial: model}\n")
    before = files(folder)
    status = 1 if "none.keras" in words else 2
    _, error = command(*words, status=status, input="" if "-" in words else None)
    assert told in error
    assert len(error.splitlines()) == 1
    assert files(folder) == before


def test_addresses_of_files_here_are_paths(folder: Path) -> None:
    steps = f"steps:\n- prune: {{sparsity: .5}}\n  of: m\n  output: file://{folder}/m.keras\n"
    (folder / "r.yaml").write_text(f"inputs:\n  m: file://{folder}/m.keras\n{steps}")
    before = (folder / "m.keras").read_bytes()
    _, error = command("r.yaml", "--force", status=2)
    assert "m.keras, which it reads as well" in error
    assert (folder / "m.keras").read_bytes() == before
    (folder / "r.yaml").write_text(f"inputs:\n  m: file://{folder}/none.keras\n{steps}")
    _, error = command("r.yaml", status=2)
    assert f"r.yaml:2:6: there is no file 'file://{folder}/none.keras'" in error


def test_a_step_that_fails_is_named(folder: Path) -> None:
    (folder / "r.yaml").write_text(f"{THIN}- shrink: {{sparsity: .5, include: nolayer}}\n")
    before = files(folder)
    _, error = command("r.yaml", "m.keras", "zoo", "-o", "out/", status=2)
    assert error.startswith("wtool: m.keras: r.yaml:3: shrink: ")
    assert "3: shrink" in error.splitlines()[3]
    assert files(folder) == before
    (folder / "r.yaml").write_text("- prune: {sparsity: .5}\n- prune: {sparsity: .6, include: nolayer}\n")
    assert "r.yaml:2: prune: " in command("r.yaml", "m.keras", status=2)[1]
    (folder / "bad.keras").write_bytes(b"no model")
    assert "wtool: bad.keras: thin.yaml:1: prune: " in command("thin.yaml", "bad.keras", status=1)[1]


def test_streams(folder: Path) -> None:
    command("packed.yaml", "m.keras", "-o", "file.keras")
    with open("m.keras", "rb") as model, open("stream.keras", "wb") as made:
        subprocess.run(forkserver.wtool("run", "packed.yaml", "-", "-o", "-"), stdin=model, stdout=made, check=True)
    one, other = (wtool.inspect(f"{name}.keras")["lineage"] for name in ("file", "stream"))
    assert [each["operation"] for each in one] == [each["operation"] for each in other]
    assert other[0]["inputs"][0]["name"] == "-"
    assert arrays(folder / "file.keras").keys() == arrays(folder / "stream.keras").keys()


def test_what_ranks_all_values_begins_a_pass(folder: Path) -> None:
    """In the pass of others it would have them do their work at each of its looks."""
    (folder / "r.yaml").write_text("""\
- prune: {sparsity: .3}
- stroke: {seed: 3}
- prune: {min-value: -0.1, max-value: 0.1}
- neuroplast: {seed: 4}
- prune: {sparsity: .6, scope: global}
- stroke: {seed: 5}
- prune: {pattern: 2:4}
""")
    shown, _ = command("r.yaml", "m.keras", "-n")
    steps = [line.strip("│ ").partition(" ")[0] for line in shown.splitlines()]
    assert steps == ["m-r.keras", "prune", "stroke", "prune", "└──", "neuroplast", "prune", "stroke", "prune", "└──"]
    assert "prune (sparsity: 0.6, scope: global)  [prune ranks all values first]" in shown


def test_the_plan_is_shown_as_a_tree(folder: Path) -> None:
    (folder / "r.yaml").write_text("""\
inputs: {init: zoo/a.keras}
steps:
- prune: {sparsity: .3}
- stroke: {seed: 3}
- swap: {to: linked}
  name: linked
  output: swapped/
- rewind: {initial: init}
  of: model
  output: t.keras
- pack:
  of: linked
""")
    shown, _ = command("r.yaml", "m.keras", "-n")
    assert (
        shown
        == """\
m-r.keras  (pass 4)
│ pack  [reads the file that another step writes]
└── swapped/m.keras  (pass 2)
    │ swap (to: linked)  [swap makes a file of its own]
    └── a temporary file  (pass 1)
        │ stroke (seed: 3)
        │ prune (sparsity: 0.3)
        └── m.keras
t.keras  (pass 3)
│ rewind
├── m.keras
└── initial of rewind: zoo/a.keras
"""
    )
    assert not (folder / "swapped").exists()
    printed, _ = command("r.yaml", "m.keras", "-n", "--json")
    assert json.loads(printed)["plan"] == shown.splitlines()


def test_what_a_killed_recipe_leaves(folder: Path) -> None:
    """Nothing: what is handed on has no name, and a result appears whole."""
    scratch = folder / "scratch"
    scratch.mkdir()
    model = ZOO / "k3.15.1" / "mlp.keras"
    for number in range(200):
        shutil.copy(model, folder / "zoo" / f"{number}.keras")
    env = {**os.environ, "TMPDIR": str(scratch)}
    words = forkserver.wtool("run", "packed.yaml", "zoo", "-o", "out/")
    with subprocess.Popen(words, stderr=subprocess.PIPE, env=env) as process:
        deadline = time.monotonic() + 20
        while len(files(folder / "out")) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.stderr is not None
        process.stderr.read()
    made = files(folder / "out")
    assert 3 <= len(made) < 203
    assert not any(Path(name).name.startswith(".") for name in made)
    assert not files(scratch)
    for name in made:
        wtool.inspect(folder / "out" / name)

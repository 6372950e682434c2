"""Recipes out of lineages: run again, they give the same bytes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import wtool
from tests.lineages import with_lineage
from tests.models import BLOBS
from tests.ops import repeatable
from tests.ops.repeatable import CASES
from tests.ops.test_replay import HASH, PIPES, in_shell, of_stranger
from wtool.recipes.history_recipe import history_recipe

yaml = pytest.importorskip("yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("repeatable")
    repeatable.fill(found)
    for name, file in {"changes.wpatch": "ab.wpatch", "array.npy": "bias.npy"}.items():
        shutil.copy(found / file, found / name)
    return found


def run(text: str, where: Path, output: Path) -> None:
    """Runs a recipe in the folder of its files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where)
        (output.parent / "recipe.yaml").write_text(text)
        wtool.run_recipe(output.parent / "recipe.yaml", output=output)


def same(one: Path, other: Path) -> bool:
    if one.is_dir():
        return all(same(path, other / path.name) for path in one.iterdir())
    return one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("operation", "models", "options"), CASES, ids=str)
def test_every_operation(operation: str, models: Any, options: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    made = repeatable.do(folder, operation, models, options, tmp_path)
    again = tmp_path / "again" / made.name
    again.parent.mkdir()
    run(history_recipe(made), folder, again)
    assert same(made, again)


@pytest.mark.parametrize("line", [line for line in PIPES if "<" not in line])
def test_pipes(line: str, tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    shutil.copy(BLOBS[-1], tmp_path / "b.keras")
    in_shell(line, tmp_path)
    text = history_recipe(tmp_path / "out.keras")
    run(text, tmp_path, tmp_path / "again.keras")
    assert same(tmp_path / "out.keras", tmp_path / "again.keras")


def test_files_between_steps_are_outputs(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    wtool.prune(tmp_path / "m.keras", sparsity=0.5, output=tmp_path / "pruned.keras")
    wtool.stroke(tmp_path / "pruned.keras", seed=3, output=tmp_path / "stroked.keras")
    wtool.average([tmp_path / "m.keras", tmp_path / "stroked.keras"], decay=0.5, output=tmp_path / "out.keras")
    text = history_recipe(tmp_path / "out.keras")
    assert re.sub("blake3:[0-9a-f]{64}", "blake3:...", text).splitlines() == [
        "# How out.keras was made, by its lineage.",
        "inputs:",
        "  m: m.keras  # blake3:...",
        "steps:",
        "  - prune: {sparsity: 0.5}",
        "    of: m",
        "    output: pruned.keras",
        "  - stroke: {seed: 3}",
        "    output: stroked.keras",
        "    name: stroked",
        "  - average: {order: given, decay: 0.5}",
        "    of: [m, stroked]",
    ]
    (tmp_path / "pruned.keras").unlink()
    (tmp_path / "stroked.keras").unlink()
    run(text, tmp_path, tmp_path / "again.keras")
    assert same(tmp_path / "out.keras", tmp_path / "again.keras")


def test_a_recipe_begins_behind_a_training(tmp_path: Path) -> None:
    trained = {"operation": "resume", "parameters": {"epochs": 1}, "inputs": [{"name": "m.keras", "hash": HASH}]}
    model = {"name": "1 t'rained.keras", "as": "model", "hash": HASH}
    with_lineage(tmp_path / "out.keras", [trained, of_stranger(inputs=[model])])
    assert history_recipe(tmp_path / "out.keras").splitlines() == [
        "# How out.keras was made, by its lineage.",
        "# The first file was made before: resume cannot be done again: training again gives other weights.",
        "inputs:",
        f'  m1-t-rained: "1 t\'rained.keras"  # {HASH}',
        "steps:",
        "  - stroke: {seed: 1}",
        "    of: m1-t-rained",
    ]
    with_lineage(tmp_path / "out.keras", [trained])
    with pytest.raises(wtool.WtoolError, match="resume cannot be done again"):
        history_recipe(tmp_path / "out.keras")


@pytest.mark.parametrize("name", ["a\nb: c", "\u2028\x85\x1b[31m\U0001f600", '"]}{[', "# x", "yes", "../x", ""])
def test_names_of_strangers_are_texts(name: str, tmp_path: Path) -> None:
    model = {"name": name, "as": "model", "hash": HASH + "\n"}
    path = with_lineage(tmp_path / "out.keras", [of_stranger(inputs=[model], parameters={"set_value": name})])
    told = yaml.safe_load(history_recipe(path))
    assert [*told["inputs"].values()] == [name]
    assert told["steps"][0]["stroke"]["set-value"] == name
    assert [*told] == ["inputs", "steps"]


def test_what_a_recipe_made_in_one_pass_is_made_again(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    steps = [{"prune": {"sparsity": 0.5}}, {"stroke": {"seed": 1}}, {"neuroplast": {"seed": 2}}, "pack"]
    wtool.run_recipe(steps, models=tmp_path / "m.keras", output=tmp_path / "out.keras")
    found = wtool.replay(tmp_path / "out.keras")
    assert (found.same, found.operations) == (True, ("prune", "stroke", "neuroplast", "pack"))
    run(history_recipe(tmp_path / "out.keras"), tmp_path, tmp_path / "again.keras")
    assert same(tmp_path / "out.keras", tmp_path / "again.keras")


def test_a_model_from_elsewhere_is_put_through_the_recipe(tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    in_shell("wtool prune - --sparsity .5 -o - < m.keras | wtool pack - -o out.keras", tmp_path)
    (tmp_path / "recipe.yaml").write_text(history_recipe(tmp_path / "out.keras"))
    in_shell("wtool run recipe.yaml - -o again.keras < m.keras", tmp_path)
    assert same(tmp_path / "out.keras", tmp_path / "again.keras")


def test_files_of_one_name_are_in_folders(tmp_path: Path) -> None:
    for folder in ("pruned", "started", "out"):
        (tmp_path / folder).mkdir()
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    wtool.prune(tmp_path / "m.keras", sparsity=0.5, output=tmp_path / "pruned/m.keras")
    wtool.stroke(tmp_path / "m.keras", seed=3, output=tmp_path / "started/m.keras")
    out = tmp_path / "out/m.keras"
    wtool.rewind(tmp_path / "pruned/m.keras", initial=tmp_path / "started/m.keras", output=out)
    wtool.stroke(out, seed=4, output=tmp_path / "last.keras")
    text = history_recipe(tmp_path / "last.keras")
    told = yaml.safe_load(text)
    assert "make the folder 2 for another one" in text
    paths = [*told["inputs"].values(), *(step["output"] for step in told["steps"] if "output" in step)]
    assert paths == ["m.keras", "2/m.keras", "3/m.keras", "4/m.keras"]
    work = tmp_path / "work"
    for folder in ("2", "3", "4"):
        (work / folder).mkdir(parents=True)
    shutil.copy(tmp_path / "m.keras", work / "m.keras")
    shutil.copy(tmp_path / "pruned/m.keras", work / "2/m.keras")
    run(text, work, tmp_path / "again.keras")
    assert same(tmp_path / "last.keras", tmp_path / "again.keras")


@pytest.mark.parametrize("name", ["/tmp/x.keras", "../x.keras", "s3://zoo/x.keras", "..", ""])
def test_recipes_write_to_no_place_that_a_record_names(name: str, tmp_path: Path) -> None:
    first, second = (of_stranger(inputs=[{"name": each, "as": "model", "hash": HASH}]) for each in ("m.keras", name))
    path = with_lineage(tmp_path / "out.keras", [first, second])
    with pytest.raises(wtool.WtoolError, match="is no name of a file"):
        history_recipe(path)

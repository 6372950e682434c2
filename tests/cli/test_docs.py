"""The documentation is true: its commands run, and it names every command and option."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import click
import h5py
import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES
from tests.remote.s3 import served
from tests.steps import Steps
from wtool.checkpoint.search import is_model_name
from wtool.cli import COMMANDS, cli
from wtool.cli.commands import WITHOUT_MODELS

DOCS = Path(__file__).parents[2] / "docs"
TRAINS = ("import keras", "wtool resume", "--verify")
SHOWN = re.compile(r"```(sh|python)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
"""A block that is run: its language, its lines, and the output that the page shows below it, if any."""

PAGES = {
    str(page.relative_to(DOCS).with_suffix("")): page.read_text()
    for page in (DOCS / "start.md", *sorted(DOCS.glob("tutorials/*.md")), *sorted(DOCS.glob("howto/*.md")))
}
PAGES["README"] = (DOCS.parent / "README.md").read_text()
BLOCKS = {name: SHOWN.findall(text) for name, text in PAGES.items()}


def options(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {
        word
        for param in command.params
        if isinstance(param, click.Option)
        for word in (*param.opts, *param.secondary_opts)
    }


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    texts = [page.read_text() for page in (DOCS / "reference").glob("*.md") if page.name != "index.md"]
    pages = [text for text in texts if f"wtool {name}" in text]
    assert pages
    shared = [(DOCS / "reference" / page).read_text() for page in ("transforms.md", "command-line.md")]
    text = "\n".join([*pages, *shared])
    for option in options(name):
        short = option.startswith("--no-") and f"{option.replace('--no-', '--')}/{option}" in text
        assert option in text or short, option


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_answers_a_question(name: str) -> None:
    assert f"`wtool {name}" in (DOCS / "which-command.md").read_text()


def test_links_lead_somewhere() -> None:
    for page in (DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def needs_training(page: str) -> bool:
    text = re.sub("wtool history .*", "", PAGES[page])  # which verifies by hashes
    return any(word in text for word in TRAINS)


def needs_a_store(page: str) -> bool:
    return any("s3://" in block for _, block, _ in BLOCKS[page])


def prepare(page: str, folder: Path) -> None:
    """Fills the folder of a page; `start` and the tutorials make everything that they speak of."""
    if page.startswith("howto/"):
        fill(folder)
    elif page == "README":
        fill(folder)
        for path in BLOBS:
            (folder / "run").mkdir(exist_ok=True)
            shutil.copy(path, folder / "run")


def fill(folder: Path) -> None:
    """Makes the models and data that how-to pages speak of."""
    shutil.copy(BLOBS[0], folder / "init.keras")
    shutil.copy(BLOBS[-1], folder / "trained.keras")
    with np.load(FIXTURES / "blobs" / "data.npz") as data:
        np.savez(folder / "data.npz", **{name: values[:100] for name, values in data.items()})
    (folder / "zoo" / "deep").mkdir(parents=True)
    for number, path in enumerate(BLOBS[:4]):
        shutil.copy(path, folder / "zoo" / ("deep" if number % 2 else ".") / path.name)
    fill_old_zoo(folder / "old-zoo")


def fill_old_zoo(folder: Path) -> None:
    """Makes models of Keras 2: one with a Lambda, one of weights alone with its architecture, others."""
    (folder / "deep").mkdir(parents=True)
    names = ("tf2.10/mlp.h5", "tf2.10/mlp_weights_only.h5", "tf2.3/norm_adapt.h5", "k2.3.1/f64_model.h5")
    for name in names:
        shutil.copy(FIXTURES / "zoo" / name, folder)
    shutil.copy(FIXTURES / "zoo" / "k2.2.4" / "nested_frozen.h5", folder / "deep")
    shutil.copy(FIXTURES / "zoo" / "tf2.10" / "mlp.h5", folder / "scaled.h5")
    with h5py.File(folder / "scaled.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (folder / "mlp.json").write_text(json.dumps({**config, "keras_version": "2.10.0", "backend": "tensorflow"}))
        code = {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}
        config["config"]["layers"].append({"class_name": "Lambda", "config": {"name": "scale", **code}})
        file.attrs["model_config"] = json.dumps(config)


def fill_store(folder: Path) -> None:
    """Makes the buckets that how-to pages speak of: `zoo` has the models of the page's folder, `results` nothing."""
    models = folder / "zoo"
    models.mkdir(parents=True)
    fill(models)
    shutil.copytree(models / "zoo", models, dirs_exist_ok=True)
    shutil.rmtree(models / "zoo")
    shutil.rmtree(models / "old-zoo")
    (folder / "results").mkdir()


def run_block(
    page: str, language: str, block: str, shown: str, folder: Path, store: Callable[[str], dict[str, str]]
) -> None:
    """Runs a block of a page and compares what it prints with what the page shows, except for the digits of numbers."""
    trains = needs_training(page)
    programs = forkserver.folder(training=trains, remote=needs_a_store(page))
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, **store(page), "PATH": path, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    run = ["bash", "-euo", "pipefail", "-c", block]
    argv = run if language == "sh" else forkserver.python("-c", block, training=trains)
    done = subprocess.run(argv, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{block}\n{done.stdout}"
    assert "Traceback" not in done.stdout
    assert "see above" not in done.stdout
    if shown:
        assert without_digits(done.stdout) == without_digits(shown)


def without_digits(text: str) -> list[str]:
    """The lines of an output without what differs between machines: digits, the blanks before them, and hashes."""
    text = re.sub("blake3:[0-9a-f]+", "blake3:N", text)
    return [re.sub(r"\s+", " ", re.sub(r"-?\b[\d.,]+", "N", line)).strip() for line in text.strip().splitlines()]


UNREPEATABLE = re.compile(
    r"\b(resume|soup|recalibrate|rewind-schedule|power-ema|average) cannot be done again: "
    r"|no file of these contents is among the inputs: pruned\.keras "  # `wtool lottery` has removed it
)
"""What is said of models that are not made again to the byte: trainings made them, or an experiment removed files."""


def has_lineage(path: Path) -> bool:
    try:
        return path.is_file() and is_model_name(path.name) and bool(wtool.history(path).steps)
    except wtool.WtoolError:
        return False


def replayed(path: Path, folder: Path) -> str:
    """Returns why a model is not made again of the files in a folder; empty where every byte is the same."""
    try:
        return "; ".join(wtool.replay(path, inputs=folder).differences)
    except wtool.WtoolError as error:
        return str(error)


def all_models_are_made_again(page: str, folder: Path) -> None:
    """Replays every model that a page made, of the files that lie in its folder."""
    told = [replayed(path, folder) for path in sorted(folder.rglob("*")) if has_lineage(path)]
    unmade = [each for each in told if each]
    assert not unmade or needs_training(page)
    assert all(UNREPEATABLE.search(each) for each in unmade), unmade


def all_results_were_made(page: str, folder: Path) -> None:
    names = re.findall(r" (?:-o|--out) ([\w./-]+)(?=\s)", "\n".join(block for _, block, _ in BLOCKS[page]))
    assert not [name for name in names if name != "-" and not (folder / name).exists()]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], dict[str, str]]]:
    """Page -> the variables with which its commands find its S3, which is started for its first block."""
    with ExitStack() as servers:

        @cache
        def started(page: str) -> dict[str, str]:
            if not needs_a_store(page):
                return {}
            folder = tmp_path_factory.mktemp("store")
            fill_store(folder)
            return servers.enter_context(served(folder))

        yield started


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, store: Callable[[str], dict[str, str]]) -> dict[str, Steps]:
    """Name of each page -> its blocks, in a folder with the models that the page speaks of."""
    found = {}
    for page, blocks in BLOCKS.items():
        folder = tmp_path_factory.mktemp(page.replace("/", "-"))
        steps = [partial(run_block, page, *block, folder, store) for block in blocks]
        checks = [partial(each, page, folder) for each in (all_results_were_made, all_models_are_made_again)]
        found[page] = Steps([partial(prepare, page, folder), *steps, *checks])
    return found


@pytest.mark.parametrize(
    ("page", "number"),
    [
        pytest.param(page, number, marks=[pytest.mark.tensorflow] if needs_training(page) else [])
        for page, blocks in BLOCKS.items()
        for number in range(1, len(blocks) + 1)
    ],
)
def test_how_to_pages_run(page: str, number: int, followed: dict[str, Steps]) -> None:
    """Every block of a page, in order."""
    if "import duckdb" in PAGES[page]:
        pytest.importorskip("duckdb")
        pytest.importorskip("pyarrow")
    if needs_training(page):
        pytest.importorskip("keras")
    if needs_a_store(page):
        for name in ("moto.server", "s3fs"):
            pytest.importorskip(name, reason=f"the page reads and writes S3, which needs {name}")
    followed[page].run(len(followed[page].steps) if number == len(BLOCKS[page]) else number + 1)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_plots_are_drawn(tmp_path: Path) -> None:
    """Twice the same, small, and every one is on its page."""
    pytest.importorskip("keras")
    pytest.importorskip("matplotlib")
    drawn = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        subprocess.run(forkserver.python(DOCS / "plots.py", folder, training=True), check=True)
        drawn.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {"auto-rotating.svg", "linked-neurons.svg"}
    for name, content in drawn[0].items():
        assert len(content) < 100_000
        assert f"({name})" in (DOCS / "reference" / name).with_suffix(".md").read_text()


def test_the_page_on_stores_names_every_command() -> None:
    """A command that opens no model is in no row."""
    rows = [line for line in PAGES["howto/remote-files"].splitlines() if line.startswith("| `")]
    named = {word for line in rows for word in re.findall(r"`([a-z]+)`", line.split("|")[1])}
    assert named >= set(COMMANDS) - set(WITHOUT_MODELS)

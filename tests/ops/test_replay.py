"""Models made again from their lineage: every operation, chains, pipes, and what is missing or has changed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

import wtool
from tests import forkserver
from tests.lineages import with_lineage
from tests.models import BLOBS, changed
from tests.ops import repeatable
from tests.ops.repeatable import CASES
from wtool.ops import replay_run

HASH = f"blake3:{64 * '1'}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("repeatable")
    repeatable.fill(found)
    return found


@pytest.mark.parametrize(("operation", "models", "options"), CASES, ids=str)
def test_every_operation_is_done_again_with_the_same_bytes(
    operation: str, models: Any, options: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    made = repeatable.do(folder, operation, models, options, tmp_path)
    found = wtool.replay(made, inputs=folder)
    assert found.same, found.differences
    assert found.operations == (operation,)
    assert not found.notes


def in_shell(line: str, folder: Path) -> None:
    """Runs a line in which wtool is this one."""
    env = {"PATH": f"{forkserver.folder()}:/usr/bin:/bin"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=folder, env=env, check=True)


def tell(folder: Path, *words: str, status: int = 0) -> list[str]:
    argv = forkserver.wtool("replay", *words)
    done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == status, done.stdout
    return done.stdout.splitlines()


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """A folder with a chain of models: `m.keras`, `pruned.keras`, `stroked.keras`, `out.keras`."""
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    wtool.prune(tmp_path / "m.keras", sparsity=0.5, output=tmp_path / "pruned.keras")
    wtool.stroke(tmp_path / "pruned.keras", seed=3, output=tmp_path / "stroked.keras")
    wtool.average([tmp_path / "m.keras", tmp_path / "stroked.keras"], decay=0.5, output=tmp_path / "out.keras")
    return tmp_path


def test_the_latest_files_that_are_there_are_used(chain: Path) -> None:
    out = chain / "out.keras"
    assert wtool.replay(out).operations == ("average",)
    (chain / "stroked.keras").unlink()
    assert wtool.replay(out).operations == ("stroke", "average")
    (chain / "pruned.keras").unlink()
    found = wtool.replay(out)
    assert (found.same, found.operations, found.notes) == (True, ("prune", "stroke", "average"), ())
    assert found.inputs == {"m.keras": str(chain / "m.keras")}
    assert tell(chain, "out.keras") == [
        "out.keras: 3 operations done again, of 1 file (prune, stroke, average): every byte is the same"
    ]


def test_inputs_have_other_names_in_other_folders(chain: Path) -> None:
    (chain / "else" / "where").mkdir(parents=True)
    (chain / "out.keras").rename(chain / "renamed.keras")
    (chain / "pruned.keras").write_bytes((chain / "m.keras").read_bytes()[:-1])  # another file of a recorded name
    (chain / "m.keras").rename(chain / "else" / "where" / "x.bin")
    (chain / "stroked.keras").unlink()
    os.mkfifo(chain / "else" / "a-fifo")
    (chain / "else" / "nowhere").symlink_to("nothing")
    (chain / "else" / "loop").symlink_to(chain)
    found = wtool.replay(chain / "renamed.keras", inputs=[chain / "else"])
    assert (found.same, found.operations) == (True, ("prune", "stroke", "average"))
    assert found.inputs == {"m.keras": str(chain / "else" / "where" / "x.bin")}


def test_a_folder_of_inputs_that_is_not_there_is_trouble(chain: Path) -> None:
    (told,) = tell(chain, "renamed.keras", "--inputs", "nowhere/", status=2)
    assert told == "wtool: nowhere/: No such file or directory"


def test_what_is_missing_is_told_at_once(chain: Path) -> None:
    for name in ("m", "stroked", "pruned"):
        (chain / f"{name}.keras").unlink()
    (line,) = tell(chain, "out.keras", status=1)
    told = f"m.keras (blake3:{blake3(BLOBS[0].read_bytes()).hexdigest()})"
    assert line == f"wtool: out.keras: no file of these contents is among the inputs: {told}"
    shown = json.loads(tell(chain, "out.keras", "--json", "-q", status=1)[0])
    assert shown == {"model": "out.keras", "error": line.partition("out.keras: ")[2]}


def test_another_model_is_told_with_its_differences(chain: Path) -> None:
    changed(chain / "pruned.keras", chain / "other.keras", lambda name, a: a + 1 if a.shape == (25,) else a)
    lines = tell(chain, "other.keras", status=1)
    assert lines[0] == "other.keras: 1 operation done again, of 1 file (prune): another model"
    assert "different: members of the archive: model.weights.h5" in lines
    assert "different: values of 2 tensors: hidden/bias, optimizer/momentum/hidden/bias" in lines
    rezipped = with_lineage(chain / "rezipped.keras", wtool.inspect(chain / "pruned.keras")["lineage"])
    found = wtool.replay(rezipped)
    assert not found.same
    assert any(each.startswith("values of") for each in found.differences)


def test_the_new_model_is_kept_on_demand(chain: Path) -> None:
    before = {path.name for path in chain.iterdir()}
    tell(chain, "stroked.keras", "-o", "again.keras")
    assert (chain / "again.keras").read_bytes() == (chain / "stroked.keras").read_bytes()
    assert {path.name for path in chain.iterdir()} == before | {"again.keras"}
    (line,) = tell(chain, "out.keras", "-o", "again.keras", status=2)
    assert "exists already" in line
    found = wtool.replay(chain / "out.keras", output=chain / "again.keras", force=True)
    assert found.output == str(chain / "again.keras")
    assert (chain / "again.keras").read_bytes() == (chain / "out.keras").read_bytes()


def test_a_recorded_force_replaces_nothing(chain: Path) -> None:
    """`swap --force` drops what is not zero, and the word is that for an output that is there."""
    record = {**of_stranger(), "operation": "swap", "parameters": {"to": "linked", "force": True}}
    del record["seed"]
    with_lineage(chain / "swapped.keras", [record])
    (chain / "again.keras").write_bytes(b"mine")
    with pytest.raises(wtool.WtoolError, match="exists already"):
        wtool.replay(chain / "swapped.keras", output=chain / "again.keras")
    assert (chain / "again.keras").read_bytes() == b"mine"
    assert wtool.replay(chain / "swapped.keras", output=chain / "again.keras", force=True).operations == ("swap",)


def test_models_between_steps_are_removed(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[list[str]] = []
    done = replay_run._called

    def called(step: Any, files: Any, folder: str, how: Any) -> Any:
        left.append(sorted(path.name for path in Path(folder).parent.glob("*/made.keras")))
        return done(step, files, folder, how)

    monkeypatch.setattr(replay_run, "_called", called)
    for name in ("pruned", "stroked"):
        (chain / f"{name}.keras").unlink()
    assert wtool.replay(chain / "out.keras").same
    assert [len(each) for each in left] == [0, 1, 1]


PIPES = [
    "wtool prune m.keras --sparsity .5 -o - | wtool stroke - --seed 1 -o out.keras",
    "wtool prune m.keras --sparsity .5 -o - | wtool swap - --to linked -o - | wtool pack - -o out.keras",
    "wtool prune m.keras --sparsity .5 -o - | wtool rewind - --initial b.keras -o out.keras",
    "wtool prune m.keras --sparsity .5 -o - | wtool rewind - --initial b.keras -o - | wtool pack - -o out.keras",
    "wtool stroke m.keras --seed 1 -o - | wtool average b.keras - --order given -o out.keras",
    "wtool stroke m.keras --seed 1 -o - | wtool average - b.keras --order given -o - | wtool pack - -o out.keras",
    "wtool stroke b.keras --seed 1 -o - | wtool merge - --base m.keras --method slerp --t .5 -o out.keras",
    "wtool prune - --sparsity .5 -o - < m.keras | wtool pack - -o out.keras",
    "wtool prune - --sparsity .5 -o out.keras < m.keras",
    "wtool shrink m.keras --sparsity .5 -o - | wtool shrink m.keras --as - -o out.keras",
    "wtool stroke m.keras --seed 2 -o - | wtool align b.keras --to - --seed 1 -o out.keras",
]


@pytest.mark.parametrize("line", PIPES)
def test_pipes_are_laid_again(line: str, tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    shutil.copy(BLOBS[-1], tmp_path / "b.keras")
    in_shell(line, tmp_path)
    found = wtool.replay(tmp_path / "out.keras")
    assert found.same, found.differences
    assert len(found.operations) == line.count("wtool ")


@pytest.mark.parametrize("name", ["out", "another"])
def test_shards_have_the_names_of_the_model(name: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    wtool.convert(BLOBS[0], output=sources / "base.weights.json", shard_size="500")
    wtool.prune(sources / "base.weights.json", sparsity=0.5, output=sources / "middle.weights.json")
    wtool.stroke(sources / "middle.weights.json", seed=1, output=tmp_path / "out.weights.json")
    for path in sources.glob("middle*"):
        path.unlink()
    if name == "another":
        (sources / "base.weights.json").rename(sources / "renamed.weights.json")
    found = wtool.replay(tmp_path / "out.weights.json", inputs=sources)
    assert found.same, found.differences
    assert found.operations == ("prune", "stroke")


def test_unzipped_models_are_found_and_made(tmp_path: Path) -> None:
    (tmp_path / "zoo").mkdir()
    wtool.convert(BLOBS[0], output=tmp_path / "zoo" / "folder", unzipped=True)
    wtool.prune(tmp_path / "zoo" / "folder", sparsity=0.5, output=tmp_path / "out.keras")
    assert wtool.replay(tmp_path / "out.keras", inputs=tmp_path / "zoo").same
    (tmp_path / "zoo" / "folder").rename(tmp_path / "zoo" / "other")
    assert wtool.replay(tmp_path / "out.keras", inputs=tmp_path / "zoo").same


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([], "it has no lineage of wtool"),
        ([{"operation": "quantize"}], "'quantize' is no operation that wtool does again"),
        ([{"operation": "resume", "parameters": {"epochs": 1}}], "resume cannot be done again: training again gives"),
        ([{"operation": "prune", "of": "mask"}], "its lineage does not tell how it was made"),
        (
            [
                {"operation": "resume", "parameters": {"epochs": 1}},
                {"operation": "stroke", "inputs": [{"name": "r.keras", "as": "model", "hash": HASH}], "seed": 1},
            ],
            f"no file among the inputs is r.keras ({HASH}), and resume cannot be done again: training again gives",
        ),
        (
            [{"operation": "stroke", "inputs": [{"name": "-", "as": "model"}], "parameters": {}}],
            "no file of these contents is among the inputs: - (without a content hash)",
        ),
    ],
    ids=str,
)
def test_what_is_not_done_again_is_a_line(records: Any, told: str, tmp_path: Path) -> None:
    with_lineage(tmp_path / "m.keras", records)
    (line,) = tell(tmp_path, "m.keras", status=1)
    assert line.startswith(f"wtool: m.keras: {told}")


def of_stranger(**told: Any) -> dict[str, Any]:
    """A record of a stroke of the first model, with other keys."""
    content = f"blake3:{blake3(BLOBS[0].read_bytes()).hexdigest()}"
    return {"operation": "stroke", "inputs": [{"name": "m.keras", "as": "model", "hash": content}], "seed": 1, **told}


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ([of_stranger(inputs=[{**of_stranger()["inputs"][0], "name": "../../evil.keras"}])], "is no name of a file"),
        ([of_stranger(inputs=[{**of_stranger()["inputs"][0], "name": "a\0b"}])], "is no name of a file"),
        ([of_stranger(inputs=[{**of_stranger()["inputs"][0], "name": "x" * 5000}])], "cannot get the name"),
        ([of_stranger(parameters={"volatility_ratio": "much"})], "stroke fails when it is done again: "),
        (
            [of_stranger(parameters={"output": "/tmp/evil.keras"})],
            "the record of stroke tells of output, not known here",
        ),
        ([of_stranger(seed=-1)], "stroke fails when it is done again: a seed is a whole number"),
        ([of_stranger(inputs=[{**of_stranger()["inputs"][0], "name": "-"}] * 2)], "is none that this version"),
    ],
    ids=range(7),
)
def test_lineages_of_strangers_reach_nothing_else(records: Any, told: str, tmp_path: Path) -> None:
    shutil.copy(BLOBS[0], tmp_path / "m.keras")
    with_lineage(tmp_path / "out.keras", records)
    with pytest.raises(wtool.WtoolError, match=re.escape(told)) as raised:
        wtool.replay(tmp_path / "out.keras")
    assert "\n" not in str(raised.value)
    assert {path.name for path in tmp_path.iterdir()} == {"m.keras", "out.keras"}


def test_a_long_chain_is_no_recursion(tmp_path: Path) -> None:
    record = {"operation": "stroke", "inputs": [{"name": "m.keras", "as": "model", "hash": HASH}], "seed": 1}
    with_lineage(tmp_path / "out.keras", [record] * 5000)
    with pytest.raises(wtool.WtoolError, match="no file of these contents is among the inputs"):
        wtool.replay(tmp_path / "out.keras")


def test_another_version_is_told(chain: Path) -> None:
    records = wtool.inspect(chain / "pruned.keras")["lineage"]
    old = with_lineage(chain / "old.keras", [{**records[0], "wtool": "0.0.1"}], chain / "pruned.keras")
    found = wtool.replay(old)
    assert not found.same
    assert found.notes == (f"prune was done by wtool 0.0.1, and is done again by wtool {wtool.__version__}",)
    assert found.differences == (
        "the record of prune: wtool",
        "members of the archive: metadata.json",
        "no layer, setting or tensor: bytes that say the same",
    )


def test_misuse(tmp_path: Path) -> None:
    assert tell(tmp_path, "missing.keras", status=2)[0].endswith("missing.keras: No such file or directory")
    assert "both models are read" in tell(tmp_path, "-", status=2)[0]
    with pytest.raises(wtool.Usage, match="inputs is a path or a list of paths"):
        wtool.replay(BLOBS[0], inputs=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_renamed", [False, True])
def test_inputs_lie_in_a_store(is_renamed: bool, chain: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    store.pipe("memory://replay/deep/" + ("other" if is_renamed else "m.keras"), (chain / "m.keras").read_bytes())
    store.pipe("memory://replay/model/out.keras", (chain / "out.keras").read_bytes())
    in_shell("wtool prune - --sparsity .5 -o piped.keras < m.keras", chain)
    try:
        assert wtool.replay(chain / "piped.keras", inputs="memory://replay/deep/").same
        found = wtool.replay("memory://replay/model/out.keras", inputs="memory://replay/deep/")
        assert (found.same, found.operations) == (True, ("prune", "stroke", "average"))
        with pytest.raises(wtool.WtoolError, match="no file of these contents"):
            wtool.replay("memory://replay/model/out.keras")
    finally:
        store.rm("memory://replay", recursive=True)


STEPS: list[tuple[str, dict[str, Any]]] = [
    ("prune", {"sparsity": 0.5, "scope": "global"}),
    ("stroke", {"volatility_ratio": 0.2, "optimizer": "reset"}),
    ("neuroplast", {"max_value": 0.2, "biases": True}),
    ("swap", {"to": "linked", "layers": ["hidden*"]}),
    ("shrink", {"sparsity": 0.2, "criterion": "random"}),
    ("pack", {}),
    ("patch", {"set": ["*/bias=0.5"]}),
    ("convert", {"to": "h5"}),
]


@settings(max_examples=6, deadline=None, derandomize=True)
@given(
    chosen=st.lists(st.sampled_from(STEPS), min_size=2, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    kept=st.sets(st.integers(0, 4)),
)
def test_chains_with_any_of_their_files(chosen: list[tuple[str, dict[str, Any]]], seed: int, kept: set[int]) -> None:
    """The work begins behind the latest file that is left."""
    with TemporaryDirectory() as made:
        folder = Path(made)
        shutil.copy(BLOBS[0], folder / "m.keras")
        files = [folder / "m.keras"]
        for number, (operation, options) in enumerate(chosen):
            random = {"seed": seed} if operation in ("stroke", "neuroplast", "shrink") else {}
            with suppress(wtool.Refused, wtool.Usage):  # a model may have nothing more to swap or to take out
                getattr(wtool, operation)(files[-1], **options, **random, output=folder / f"{number}-made")
                files += folder.glob(f"{number}-made.*")
        for number, path in enumerate(files[1:-1]):
            if number not in kept:
                path.unlink()
        if len(files) > 1:
            begin = max(number for number, path in enumerate(files[:-1]) if path.exists())
            found = wtool.replay(files[-1])
            assert found.same, found.differences
            assert len(found.operations) == len(files) - 1 - begin

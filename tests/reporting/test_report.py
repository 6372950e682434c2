"""Pages by the data in them, against NumPy's numbers and what other commands say; and by their bytes."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS, FIXTURES, arrays
from tests.plotting.experiments import lines, value, written
from tests.reporting.pages import HOSTILE, parts_of, weights_of
from wtool.reporting import model_data, page, report

ZOO = FIXTURES / "zoo"
STORED = {"hidden/kernel": "layers/dense/vars/0", "output/kernel": "layers/dense_1/vars/0"}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "pruned.keras"
    wtool.prune(BLOBS[-1], sparsity=0.6, output=path)
    return path


def page_of(tmp_path: Path, *paths: Path, **how: Any) -> list[dict[str, Any]]:
    done = wtool.report(list(paths), output=tmp_path / "page.html", **how)
    assert done.bytes == (tmp_path / "page.html").stat().st_size
    return parts_of(tmp_path / "page.html")


def edges_of(found: dict[str, Any]) -> np.ndarray[Any, Any]:
    bins = np.arange(found["first"], found["first"] + len(found["counts"]) + 1, dtype=np.float64)
    return np.asarray(bins * 2.0 ** found["exponent"])


def test_a_model(tmp_path: Path, pruned: Path) -> None:
    (part,) = page_of(tmp_path, pruned)
    assert part["kind"] == "model"
    assert part["model"] == wtool.inspect(pruned)
    assert part["kernels"] == list(STORED)
    for path, stored in STORED.items():
        values = arrays(pruned)[stored].astype(np.float64)
        found = part["histograms"][path]
        assert found["counts"] == np.histogram(values[values != 0], edges_of(found))[0].tolist()
        assert sum(found["counts"]) == np.count_nonzero(values)
        mask = part["masks"][path]
        assert (mask["rows"], mask["columns"]) == values.shape
        assert mask["zeros"] == "".join("/" if each == 0 else "A" for each in values.ravel())


def test_a_model_beside_an_earlier_one(tmp_path: Path, pruned: Path) -> None:
    (part,) = page_of(tmp_path, pruned, against=BLOBS[-1])
    told = part["difference"]
    found = wtool.diff(BLOBS[-1], pruned)
    assert told["models"] == [str(BLOBS[-1]), str(pruned)]
    assert told["equal"] is False
    assert [each["values"]["zeros_gained"] for each in told["tensors"] if each["values"]] == [
        each.values.zeros_gained for each in found.tensors if each.values
    ]
    for path, stored in STORED.items():
        values = arrays(BLOBS[-1])[stored].astype(np.float64)
        assert (
            told["histograms"][path]["counts"] == np.histogram(values, edges_of(told["histograms"][path]))[0].tolist()
        )
        assert told["zeros"][path] == 0


def test_masks_of_large_kernels_are_shares(tmp_path: Path) -> None:
    values = np.ones((3, 3, 40, 101), np.float32)
    values[0, 0, 0] = 0  # the first of 360 rows, and so a share of the first cell of 48
    values[..., 100] = 0
    weights_of(tmp_path / "large.h5", {"conv": {"kernel": values}})
    (part,) = page_of(tmp_path, tmp_path / "large.h5")
    mask = part["masks"]["conv/kernel"]
    assert (mask["rows"], mask["columns"]) == (48, 48)
    levels = np.array([model_data.LEVELS.index(letter) for letter in mask["zeros"]]).reshape(48, 48)
    matrix = values.reshape(360, 101) == 0
    down, across = np.arange(360) * 48 // 360, np.arange(101) * 48 // 101
    shares = np.zeros((48, 48))
    np.add.at(shares, (down[:, None], across[None, :]), matrix)
    shares /= np.outer(np.bincount(down), np.bincount(across))
    assert np.abs(levels / 63 - shares).max() <= 0.5 / 63 + 1e-9
    assert ((levels == 0) == (shares == 0)).all()
    assert ((levels == 63) == (shares == 1)).all()


def test_many_models_are_rows(tmp_path: Path, pruned: Path) -> None:
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"PK no model")
    done = wtool.report([*BLOBS[:2], pruned, broken], output=tmp_path / "page.html")
    assert list(done.failed) == [str(broken)]
    table, *full = parts_of(tmp_path / "page.html")
    assert [part["model"]["path"] for part in full] == [str(path) for path in (*BLOBS[:2], pruned)]
    rows = table["models"]
    assert [row["path"] for row in rows] == [str(path) for path in (*BLOBS[:2], pruned, broken)]
    assert rows[2]["zeros"] == sum(int((arrays(pruned)[stored] == 0).sum()) for stored in STORED.values())
    assert (rows[2]["prunable"], rows[2]["operations"], rows[2]["part"]) == (125, ["prune"], 3)
    assert rows[3] == {"path": str(broken), "error": done.failed[str(broken)]}


def test_a_zoo_has_rows_alone(tmp_path: Path) -> None:
    done = wtool.report(ZOO, output=tmp_path / "page.html")
    (part,) = parts_of(tmp_path / "page.html")
    assert len(done.models) == len(part["models"]) > report.MOST_IN_FULL
    for row in part["models"][::7]:
        told = wtool.inspect(row["path"])
        assert (row["parameters"], row["format"]) == (told["parameters"], told["format"])
        assert row["layers"] == len(told["layers"])
        assert "part" not in row


def test_an_experiment(tmp_path: Path) -> None:
    (part,) = page_of(tmp_path, written(tmp_path / "RUN", lines(trials=3, epochs=4)))
    assert (part["kind"], part["trials"], part["score"]) == ("run", 3, "accuracy")
    assert [arm["name"] for arm in part["arms"]] == ["dense", "rewind", "randomize"]
    for arm in part["arms"]:
        for each in arm["rounds"]:
            scores = np.array(
                [[value(trial, arm["name"], each["round"], epoch) for epoch in range(1, 5)] for trial in (1, 2, 3)]
            )
            curve, end = each["curves"]["val_accuracy"], each["ends"]["val_accuracy"]
            assert curve["epochs"] == [1, 2, 3, 4]
            assert curve["mean"] == pytest.approx(scores.mean(0), rel=1e-5)
            assert curve["std"] == pytest.approx(scores.std(0, ddof=1), rel=1e-5)
            assert (end["mean"], end["max"]) == pytest.approx((scores[:, 3].mean(), scores[:, 3].max()), rel=1e-5)
            assert each["remaining"] == pytest.approx(0.8 ** each["round"])


def test_logs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("epoch,accuracy,loss\n0,.5,2\n1,.75,1\n0,.25,nan\n")
    (tmp_path / "b.jsonl").write_text('{"epoch": 1, "loss": 3.0}\n{"epoch": 2, "loss": 1e300}\n')
    (part,) = page_of(tmp_path, tmp_path / "a.csv", tmp_path / "b.jsonl")
    assert (part["kind"], part["metrics"], part["score"]) == ("logs", ["accuracy", "loss"], "accuracy")
    first, second = part["logs"]
    assert first["curves"]["loss"] == {"epochs": [1, 2, None, 1], "mean": [2.0, 1.0, None, None]}
    assert second["curves"] == {"loss": {"epochs": [1, 2], "mean": [3.0, None]}}


def test_long_curves_are_thinned(tmp_path: Path) -> None:
    rows = "".join(f"{epoch},{epoch}\n" for epoch in range(10_000))
    (tmp_path / "long.csv").write_text(f"epoch,loss\n{rows}")
    (part,) = page_of(tmp_path, tmp_path / "long.csv")
    epochs = part["logs"][0]["curves"]["loss"]["epochs"]
    assert (len(epochs), epochs[0], epochs[-1]) == (500, 1, 10_000)
    assert set(np.diff(epochs)) == {20, 21}


def test_names_are_data_and_no_markup(tmp_path: Path) -> None:
    layers = {name: {"kernel": np.ones((2, 2), np.float32)} for name in HOSTILE}
    weights_of(tmp_path / "m.h5", layers)
    (part,) = page_of(tmp_path, tmp_path / "m.h5")
    assert [layer["name"] for layer in part["model"]["layers"]] == HOSTILE
    text = (tmp_path / "page.html").read_text()
    data = text.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in data
    assert data.isascii()


def test_the_policy_allows_what_is_in_the_page_and_nothing_else(tmp_path: Path, pruned: Path) -> None:
    page_of(tmp_path, pruned)
    text = (tmp_path / "page.html").read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert {name: rules[name] for name in ("default-src", "base-uri", "form-action")} == dict.fromkeys(
        ("default-src", "base-uri", "form-action"), "'none'"
    )
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hash_ = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{hash_}'"
    assert not re.findall(r"""\b(?:src|href)=["']?\s*(?:https?:|//)""", text)
    assert re.findall(r"https?://[^\s\"']*", text) == ["http://www.w3.org/2000/svg"]  # the name of SVG's elements


def test_the_script_is_small_and_parses_no_markup() -> None:
    script = "\n".join(page._part(name) for name in page.SCRIPTS)
    assert len(script.encode()) < 42_000
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "localStorage"):
        assert word not in script
    folder = Path(page.__file__).parent / "browser"
    assert {path.name for path in folder.iterdir()} == {*page.SCRIPTS, "style.css", "page.html"}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, pruned: Path) -> None:
    for name in ("a.html", "b.html"):
        wtool.report(pruned, output=tmp_path / name, against=BLOBS[0])
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_bounds_of_pages() -> None:
    one, twelve = model_data.Bounds.of(1), model_data.Bounds.of(12)
    assert (one.side(1), one.side(2_500), one.side(10**6)) == (48, 40, 8)
    assert twelve.side(2_500) == 11
    assert twelve.histograms * 12 <= one.histograms


def test_masks_of_the_lineage_are_left_out(tmp_path: Path, pruned: Path) -> None:
    ticket = tmp_path / "ticket.keras"
    wtool.rewind(pruned, initial=BLOBS[0], pruned="initial", output=ticket)
    (part,) = page_of(tmp_path, ticket)
    (told,) = [record["masks"] for record in part["model"]["lineage"] if "masks" in record]
    assert told == list(wtool.inspect(ticket)["lineage"][-1]["masks"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"models": BLOBS[0], "output": "page.pdf"}, "page.pdf: a page is an HTML file: the output's name has to end"),
        (
            {"models": BLOBS[:2], "output": "p.html", "against": BLOBS[3]},
            "--against compares one model with an",
        ),
        ({"models": "-", "output": "p.html", "against": BLOBS[3]}, "--against reads both models more than once"),
        ({"models": [], "output": "p.html"}, "no models, experiments or logs"),
    ],
)
def test_misuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], told: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wtool.Usage) as raised:
        wtool.report(words.pop("models"), **words)
    assert str(raised.value).startswith(told)
    assert not list(tmp_path.iterdir())


def test_an_existing_page_stays(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(wtool.WtoolError, match="exists"):
        page_of(tmp_path, BLOBS[0])
    assert (tmp_path / "page.html").read_text() == "mine"
    page_of(tmp_path, BLOBS[0], force=True)


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    argv = forkserver.python("-m", "wtool", "report", *words)
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd)


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "broken.keras").write_bytes(b"")
    done = run(BLOBS[0], BLOBS[1], "broken.keras", "-o", "page.html", cwd=tmp_path)
    assert done.returncode == 1
    reason, written_to = done.stderr.splitlines()
    assert reason.startswith("wtool: broken.keras: ")
    size = (tmp_path / "page.html").stat().st_size
    assert written_to == f"wtool: 3 models: {size:,} bytes written to page.html"
    streamed = run(BLOBS[0], "-o", "-", "-q", cwd=tmp_path)
    assert (streamed.returncode, streamed.stderr) == (0, "")
    assert streamed.stdout.startswith("<!DOCTYPE html>")
    assert run(BLOBS[0], "-o", "-", "--open", cwd=tmp_path).returncode == 2


def test_open_shows_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import webbrowser

    from click.testing import CliRunner

    from wtool.cli.report import command

    shown: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(shown.append(address)))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, [str(BLOBS[0]), "-o", "a page.html", "--open"])
    assert done.exit_code == 0, done.output
    assert shown == [(tmp_path / "a page.html").as_uri()]
    assert "no browser could be started; open a page.html in one" in done.output


def test_no_library_of_an_extra_is_imported(tmp_path: Path) -> None:
    written(tmp_path / "RUN", lines(trials=1, epochs=2))
    code = (
        "import sys, wtool\nwtool.report([sys.argv[1], 'RUN'], output='page.html')\n"
        "print(sorted(set(sys.modules) & {'h5py', 'tensorflow', 'keras', 'matplotlib', 'scipy'}))"
    )
    words = [sys.executable, "-c", code, str(BLOBS[0])]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"


def test_documented_keys_are_those_of_the_data(tmp_path: Path, pruned: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "report.md").read_text()
    (tmp_path / "log.csv").write_text("epoch,loss\n0,1\n1,.5\n")
    run_folder = written(tmp_path / "RUN", lines(trials=2, epochs=2))
    parts = page_of(tmp_path, *BLOBS[:2], pruned, run_folder, tmp_path / "log.csv")
    rows = [row for part in parts if part["kind"] == "models" for row in part["models"]]
    rounds = [each for part in parts if part["kind"] == "run" for arm in part["arms"] for each in arm["rounds"]]
    for key in {key for each in (*parts, *rows, *rounds) for key in each}:
        assert f"`{key}`" in text, key

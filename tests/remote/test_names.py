"""What names in stores mean: requests that a search takes, repositories of a hub, and queries that nobody is told."""

from __future__ import annotations

import io
import json
import math
import subprocess
import zipfile
from pathlib import Path

import pytest

import wtool
from tests import forkserver
from tests.models import BLOBS
from tests.remote.hub import Hub
from tests.remote.s3 import S3
from tests.remote.web import Web
from wtool.checkpoint.inputs import models_of
from wtool.errors import WtoolError
from wtool.io import tree
from wtool.io.remote import retrying
from wtool.run.target import goals_of

MODEL = BLOBS[0].read_bytes()


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(forkserver.wtool(*words, remote=True), cwd=cwd, capture_output=True, text=True, check=False)


def test_a_search_lists_in_pages_and_asks_for_no_file(s3: S3) -> None:
    for number in range(1500):
        s3.put(f"{number % 3}/model-{number}.keras", b"x")
    found = goals_of(["s3://zoo/"], "s3://zoo/new/", "pruned")
    assert len(found) == 1500
    assert [model.path for model, _ in found[:2]] == ["s3://zoo/0/model-0.keras", "s3://zoo/0/model-3.keras"]
    assert {model.size for model, _ in found} == {1}
    assert [each.method for each in s3.server.requests] == ["GET", "GET"]
    assert all("list-type=2" in str(each) for each in s3.server.requests)


def test_a_pattern_and_its_folders_are_one_listing(s3: S3) -> None:
    for name in ("a1/m.keras", "a2/m.keras", "b/m.keras"):
        s3.put(name, MODEL)
    assert models_of("s3://zoo/a*") == ["s3://zoo/a1/m.keras", "s3://zoo/a2/m.keras"]
    listings = [each for each in s3.server.requests if "list-type=2" in str(each) and "max-keys=1" not in str(each)]
    assert len(listings) == 1


def test_keys_that_differ_in_slashes_are_two_files(s3: S3, tmp_path: Path) -> None:
    s3.put("/m.keras", MODEL)
    s3.put("m.keras", BLOBS[1].read_bytes())
    one, other = (wtool.inspect(f"s3://zoo{slashes}m.keras")["optimizer"]["step"] for slashes in ("/", "//"))
    assert one != other
    done = run("prune", "s3://zoo/", "-o", "new/", "--sparsity", ".5", cwd=tmp_path)
    assert done.returncode == 1
    assert "its name '/m.keras' has an empty part" in done.stderr
    assert "1 done, 0 skipped, 1 failed" in done.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["m.keras"]


@pytest.mark.parametrize("word", ["hf://user/zoo", "hf://user/zoo/", "hf://user/zoo@v1", "hf://user/zoo/*/*.keras"])
def test_a_repository_is_a_folder(word: str, hub: Hub) -> None:
    for revision in ("main", "v1"):
        hub.put("user/zoo", "a/m.keras", MODEL, revision=revision)
        hub.put("user/zoo", "README.md", b"", revision=revision)
        hub.put("user/zoo", ".gitattributes", b"", revision=revision)
    root = word.rstrip("/").removesuffix("/*/*.keras")
    assert models_of(word) == [f"{root}/a/m.keras"]
    [(_, goal)] = goals_of([word], "new/", "pruned")
    assert goal.path == ("new/a/m.keras")


def test_a_repository_may_be_an_unzipped_model(hub: Hub, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(MODEL)) as archive:
        for name in archive.namelist():
            hub.put("user/model", name, archive.read(name))
    hub.put("user/model", "README.md", b"")
    assert models_of("hf://user/model") == ["hf://user/model"]
    [done] = wtool.prune("hf://user/model", sparsity=0.5, output=f"{tmp_path}/")
    assert done.output == f"{tmp_path}/model.keras"


def test_a_query_is_told_to_nobody(web: Web, tmp_path: Path) -> None:
    web.put("m.keras", MODEL)
    web.put("broken.keras", b"PK\3\4")
    query = "?X-Amz-Signature=SECRET&download=true"
    signed, broken, missing = (f"{web.at(name)}{query}" for name in ("m.keras", "broken.keras", "none.keras"))
    words = ("prune", "--sparsity", ".5", "-o")
    for command, status in (
        (("inspect", signed, "--json"), 0),
        (("check", signed, broken, "--json"), 1),
        (("check", signed, broken, missing), 1),
        (("diff", signed, signed), 0),
        (("diff", signed, missing), 2),
        (("history", signed), 0),
        (("average", signed, f"{signed}&again", "-o", "average.keras"), 0),
        ((*words, "new/", signed, "--json"), 0),
        ((*words, "more/", signed, broken, missing, "--json"), 1),
        (("convert", signed, "--to", "h5", "-o", "m.h5"), 0),
        (("report", signed, broken, "-o", "page.html", "--json"), 1),
        (("plot", signed, "-o", "plot.svg", "--json"), 0),
        ((signed,), 2),
        ((*words, "new/", signed, signed.replace("m.keras", "x/m.keras")), 2),
    ):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == status, done.stderr
        assert "SECRET" not in done.stdout + done.stderr
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in made} == {"m.keras", "average.keras", "m.h5", "page.html", "plot.svg"}
    for path in made:
        assert b"SECRET" not in path.read_bytes()
        assert "?" not in path.name
    assert [each["inputs"][0]["name"] for each in wtool.inspect(f"{tmp_path}/new/m.keras")["lineage"]] == ["m.keras"]


def test_pages_of_a_web_server_are_no_folders(web: Web) -> None:
    web.manners.listing = True
    web.put("zoo/m.keras", MODEL)
    with pytest.raises(WtoolError, match="on a web server, which lists no folders; name the files themselves"):
        models_of(web.at("zoo/"))
    assert not web.server.requests


def test_retries_reach_all_processes(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.remote.faults import Fault

    for name in ("a.keras", "b.keras"):
        s3.put(name, MODEL)
    s3.server.plan(Fault(status=503, matching=lambda each: each.path.endswith(".keras"), times=math.inf))
    began = len(s3.server.requests)
    done = run("prune", "s3://zoo/", "-o", "new/", "--sparsity", ".5", "--retries", "0", "-j", "2", cwd=tmp_path)
    assert done.returncode == 1
    asked = [each for each in s3.server.requests[began:] if each.path.endswith(".keras")]
    assert len({(each.method, each.path) for each in asked}) == len(asked) == 2
    monkeypatch.setenv("WTOOL_RETRIES", "many")
    with pytest.raises(WtoolError, match="WTOOL_RETRIES is 'many', and no number"):
        retrying.retries()


def test_the_results_are_told_as_json_by_address(s3: S3, tmp_path: Path) -> None:
    s3.put("m.keras", MODEL)
    done = run("prune", "s3://zoo/", "-o", "s3://zoo/new/", "--sparsity", ".5", "--json", cwd=tmp_path)
    told = json.loads(done.stdout)
    assert (told["model"], told["output"]) == ("s3://zoo/m.keras", "s3://zoo/new/m.keras")


def test_the_bucket_of_a_pattern_is_named(s3: S3) -> None:
    with pytest.raises(WtoolError, match="wildcard where the name of its bucket stands; name the bucket"):
        models_of("s3://z*/m.keras")


def test_archives_in_stores_are_folders(s3: S3) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/m.keras", MODEL)
    s3.put("models.zip", file.getvalue())
    path = "zip://a/m.keras::s3://zoo/models.zip"
    assert models_of("zip://**/*.keras::s3://zoo/models.zip") == [path]
    assert wtool.inspect(path)["parameters"] == wtool.inspect(BLOBS[0])["parameters"]


def test_a_bucket_that_is_missing_has_no_fine_models(s3: S3, tmp_path: Path) -> None:
    for word in ("s3://nobucket/", "s3://zoo/nothing/"):
        done = run("check", word, cwd=tmp_path)
        assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"wtool: {word}: No such file or directory")
        with pytest.raises(WtoolError, match="No such file or directory"):
            models_of(word)


def test_protocols_may_be_written_in_capitals(s3: S3) -> None:
    path = s3.put("m.keras", MODEL)
    assert wtool.inspect("S3://zoo/m.keras")["parameters"] == wtool.inspect(BLOBS[0])["parameters"]
    assert tree.one_place("S3://zoo/m.keras", path)
    wtool.prune(path, output="S3://zoo/new.keras", sparsity=0.5)
    assert s3.keys() == ["m.keras", "new.keras"]


def test_colons_in_a_name_stand_before_an_archive(s3: S3) -> None:
    with pytest.raises(WtoolError, match="is no address that fsspec knows: the address of an archive stands behind ::"):
        wtool.inspect("s3://zoo/a::b.keras")

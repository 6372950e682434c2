"""The distributions hold what they should, and what is told about wtool where people install it is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest

from tests import distribution
from tests.distribution import ROOT
from wtool.cli import COMMANDS
from wtool.version import __version__

REPOSITORY = "https://example.org/me/wtool"
CACHES = re.compile(r"(^|/)(__pycache__|\.[a-z]+_cache|\.hypothesis|\.venv|build|dist)/")


def in_repository() -> set[str]:
    """The files of the repository: as git lists them, or as a source distribution holds them."""
    if (ROOT / "PKG-INFO").is_file():
        paths = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()}
        return {path for path in paths if not CACHES.search(path)} - {"PKG-INFO"}
    told = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {path for path in told.split("\0") if path and (ROOT / path).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution and the wheel."""
    pytest.importorskip("hatchling")
    return distribution.build(tmp_path_factory.mktemp("built"), REPOSITORY + "/")


def metadata(wheel: Path) -> Any:
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"wtool-{__version__}.dist-info/METADATA").decode())


def loaded(name: str) -> Any:
    """A file of the repository in YAML."""
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_source_distribution_holds_the_repository(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        held = {each.name.split("/", 1)[1] for each in archive.getmembers() if each.isfile()}
    assert in_repository() - held == set()
    assert {"PKG-INFO", "Makefile", "fixtures/README.md", ".ci/run", "hatch_build.py", "tests/test_house.py"} <= held


def test_the_wheel_holds_the_package(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        beside = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
    assert {path for path in in_repository() if path.startswith("wtool/")} - held == set()
    assert {"wtool/py.typed", "wtool/ops/signatures.pyi", "wtool/reporting/browser/page.html"} <= held
    assert beside == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_a_release_links_to_its_repository(built: tuple[Path, Path]) -> None:
    told = metadata(built[1])
    assert told["Version"] == __version__
    addresses = dict(each.split(", ") for each in told.get_all("Project-URL"))
    assert addresses["Source"] == REPOSITORY
    paths = [address.removeprefix(f"{REPOSITORY}/blob/v{__version__}/") for address in addresses.values()]
    assert {path for path in paths if path.endswith(".md")} == {"docs/index.md", "CHANGELOG.md", "SECURITY.md"}
    text = told.get_payload()
    assert f"]({REPOSITORY}/raw/v{__version__}/docs/assets/overview.svg)" in text
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 10
    for link in links:
        assert link.startswith("https://")
        path = re.sub(f"^{REPOSITORY}/(blob|raw)/v{__version__}/", "", link).split("#")[0]
        assert path.startswith("https://") or (ROOT / path).exists(), link


@pytest.mark.parametrize("name", ["SECURITY.md", "CHANGELOG.md", "docs/index.md"])
def test_the_linked_pages_exist(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_wheel_runs_outside_the_repository(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed without what it needs, which is that of this Python; `make wheels` tries it in a bare environment."""
    folder = tmp_path / "installed"
    with zipfile.ZipFile(built[1]) as archive:
        archive.extractall(folder)
    programs = tmp_path / "programs"
    programs.mkdir()
    script = "import sys; from wtool.cli import main; sys.exit(main())"
    (programs / "wtool").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{script}' \"$@\"\n")
    (programs / "wtool").chmod(0o755)
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    path = os.pathsep.join([str(folder), sysconfig.get_paths()["purelib"]])
    told = distribution.try_installed(programs, tmp_path, {**os.environ, "PYTHONPATH": path})
    assert told.splitlines()[-1] == f"{folder}/wtool/__init__.py {__version__}"


@pytest.mark.slow
@pytest.mark.parametrize("python", distribution.pythons(), ids=lambda path: path.name)
def test_the_wheel_runs_in_a_bare_environment(python: Path, built: tuple[Path, Path], tmp_path: Path) -> None:
    try:
        programs = distribution.bare_environment(python, built[1], tmp_path / "bare")
    except subprocess.CalledProcessError:
        pytest.skip("what wtool needs cannot be installed here")
    assert __version__ in distribution.try_installed(programs, tmp_path)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is new in Python 3.11")
def test_classifiers_name_the_pythons_and_systems_that_the_workflow_tests() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = project["classifiers"]
    versions = [
        each.rsplit(" ", 1)[1] for each in told if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", each)
    ]
    quick = loaded(".github/workflows/test.yml")["jobs"]["quick"]["strategy"]["matrix"]
    assert versions == quick["python"]
    assert project["requires-python"] == f">={versions[0]}"
    assert versions[0] == f"3.{distribution.OLDEST}"
    systems = {each.rsplit(" ", 1)[1].lower() for each in told if each.startswith("Operating System ::")}
    names = {"ubuntu": "linux"}
    assert systems == {names.get(word, word) for word in (each.split("-")[0] for each in quick["system"])}


@pytest.mark.parametrize("name", ["test", "release"])
def test_workflows_pin_what_they_use_and_may_only_read(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for each in uses:
        assert re.fullmatch(r"(\./\.github/workflows/test\.yml|[\w-]+/[\w-]+@[0-9a-f]{40}  # v[\d.]+)", each), each
    assert loaded(f".github/workflows/{name}.yml")["permissions"] == {"contents": "read"}


def test_only_a_tag_publishes_and_only_after_the_tests() -> None:
    release = loaded(".github/workflows/release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as a truth value
    jobs = release["jobs"]
    assert jobs["build"]["needs"] == "test"
    assert jobs["publish"]["needs"] == "build"
    assert [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})] == ["publish"]


def test_the_workflow_runs_all_parts_of_the_tests() -> None:
    whole = loaded(".github/workflows/test.yml")["jobs"]["whole"]
    assert whole["strategy"]["matrix"]["part"] == ["1/4", "2/4", "3/4", "4/4"]
    for line in (ROOT / ".ci" / "run").read_text().splitlines():
        made = re.search(r"make .*?(\w+)( PART=1/1)?$", line)
        if made and not line.startswith("#"):
            assert re.search(rf"make .*{made[1]}", str(whole["steps"])), line


def test_the_citation_names_this_version() -> None:
    citation = loaded("CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] == "Apache-2.0"


def test_the_hooks_for_other_repositories_are_commands() -> None:
    hooks = loaded(".pre-commit-hooks.yaml")
    assert [hook["id"] for hook in hooks] == ["wtool-check", "wtool-inspect"]
    names = ("a.keras", "a/b.weights.h5", "a.h5", "a.safetensors", "a.weights.json")
    for hook in hooks:
        program, command, *_ = hook["entry"].split()
        assert (program, hook["language"], command in COMMANDS) == ("wtool", "python", True)
        assert all(re.search(hook["files"], name) for name in names)
        assert not any(re.search(hook["files"], name) for name in ("a.py", "package.json", "keras"))

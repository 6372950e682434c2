"""An example of each command, with its output, in its page of docs/reference: `python -m tests.examples` writes them.

The examples run in a folder that `fill` makes of the fixtures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests import forkserver
from tests.models import BLOBS, FIXTURES

PAGES = Path(__file__).parents[1] / "docs" / "reference"
BLOCK = re.compile(r"<!-- example of ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)
"""Where an example stands: between two marks, the first of which names the command."""

EXAMPLES = {
    "align": "wtool align b.keras --to a.keras --seed 1 -o aligned.keras",
    "average": "wtool average a.keras b.keras -o mean.keras",
    "check": "wtool check a.keras old.h5",
    "constant": "wtool constant pruned.keras --initial init.keras --seed 1 -o constant.keras",
    "convert": "wtool convert old.h5 -o new.keras",
    "diff": "wtool diff a.keras pruned.keras --stat",
    "help": "wtool help help",
    "history": "wtool history pruned.keras --verify",
    "index": "wtool index a.keras b.keras pruned.keras -o zoo.jsonl",
    "inspect": "wtool inspect a.keras",
    "jitter": "wtool jitter pruned.keras --initial init.keras --seed 1 -o jittered.keras",
    "merge": "wtool merge a.keras b.keras --method linear -o merged.keras",
    "neuroplast": "wtool neuroplast a.keras --min-value -.05 --max-value .05 --seed 1 -o regrown.keras",
    "patch": "wtool patch a.keras --set output/bias=0 -o patched.keras",
    "prune": "wtool prune a.keras --sparsity .8 -o sparse.keras",
    "randomize": "wtool randomize pruned.keras --initial init.keras --seed 1 -o random.keras",
    "replay": "wtool replay pruned.keras",
    "reshuffle": "wtool reshuffle pruned.keras --initial init.keras --seed 1 -o reshuffled.keras",
    "rewind": "wtool rewind pruned.keras --initial init.keras -o ticket.keras",
    "shrink": "wtool shrink a.keras --sparsity .5 -o small.keras",
    "stroke": "wtool stroke a.keras --volatility-ratio .1 --seed 1 -o stroked.keras",
    "swap": "wtool swap a.keras --to linked -o linked.keras",
}
"""Command -> its example."""


def fill(folder: Path) -> None:
    """Makes the models that the examples speak of."""
    for name, number in {"init": 0, "a": 8, "b": 9}.items():
        shutil.copy(BLOBS[number], folder / f"{name}.keras")
    shutil.copy(FIXTURES / "zoo" / "tf2.10" / "mlp.h5", folder / "old.h5")
    argv = forkserver.wtool("prune", "a.keras", "--sparsity", ".5", "-o", "pruned.keras", "-q")
    subprocess.run(argv, cwd=folder, check=True)


def shown(name: str, folder: Path) -> str:
    """Returns the block of an example: the command, and all that it prints."""
    env = {**os.environ, "PATH": f"{forkserver.folder()}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "-c", f"{EXAMPLES[name]} 2>&1"]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == (name == "diff"), done.stdout  # where models differ, its status is 1
    return f"<!-- example of {name} -->\n\n```console\n$ {EXAMPLES[name]}\n{done.stdout.rstrip()}\n```\n\n<!-- end -->"


def places() -> dict[str, Path]:
    """Returns the page of each command that has an example."""
    return {name: page for page in sorted(PAGES.glob("*.md")) for name in BLOCK.findall(page.read_text())}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder))
        for name, page in places().items():
            block = shown(name, Path(folder))
            page.write_text(
                BLOCK.sub(lambda found, n=name, b=block: b if found[1] == n else found[0], page.read_text())
            )


if __name__ == "__main__":
    main()

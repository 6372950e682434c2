"""Draws the picture of the README: the kernels of ten checkpoints, of their average, and of the pruned average.

python docs/picture.py [FILE]     docs/assets/overview.svg by default
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import wtool

ROOT = Path(__file__).parents[1]
SHAPE = (5, 10)
"""Rows and columns in which the 50 values of a kernel are drawn."""

COLOURS = ("#b3541e", "#dd8a4f", "#f1c5a3", "#a8d5cf", "#4fa59b", "#00695c")
"""From the smallest values to the largest."""

STYLE = """
text { font: 13px ui-monospace, monospace; fill: #24292f }
.box, .arrow { fill: none; stroke: #8c959f }
.head { fill: #8c959f }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""


def kernel(path: Path) -> np.ndarray:
    """Returns the hidden kernel of a checkpoint of fixtures/blobs, with shape `SHAPE`."""
    with wtool.open_checkpoint(path) as checkpoint:
        (weight,) = (each for each in checkpoint.weights if each.path == "hidden/kernel")
        return checkpoint.read(weight).reshape(SHAPE)


def tile(values: np.ndarray, x: int, y: int, size: int) -> str:
    """Returns a frame of cells at a place, each coloured by its value; zeros are left empty."""
    rows, columns = values.shape
    bins = np.digitize(values, np.linspace(-1.2, 1.2, len(COLOURS) + 1)[1:-1])
    lines = [f'<rect class="box" x="{x}" y="{y}" width="{columns * size}" height="{rows * size}"/>']
    for number, colour in enumerate(COLOURS):
        cells = np.argwhere((bins == number) & (values != 0))
        path = "".join(f"M{x + size * column} {y + size * row}h{size}v{size}h-{size}z" for row, column in cells)
        lines.append(f'<path fill="{colour}" d="{path}"/>')
    return "\n".join(lines)


def arrow(x: int, y: int, length: int, words: tuple[str, str]) -> str:
    """Returns an arrow to the right from a place, with a command above it and its option below."""
    middle = x + length // 2
    return "\n".join(
        [
            f'<path class="arrow" d="M{x} {y}h{length - 6}"/>',
            f'<path class="head" d="M{x + length} {y}l-8 -4v8z"/>',
            f'<text x="{middle}" y="{y - 10}" text-anchor="middle">{words[0]}</text>',
            f'<text x="{middle}" y="{y + 20}" text-anchor="middle">{words[1]}</text>',
        ]
    )


def picture(folder: Path) -> str:
    """Returns the picture as SVG.

    Args:
        folder: an empty folder for the models that are drawn.
    """
    paths = sorted((ROOT / "fixtures" / "blobs").glob("*.keras"), key=lambda path: int(path.stem.split("-")[-1]))
    wtool.average(paths, decay=0.9, output=folder / "average.keras")
    wtool.prune(folder / "average.keras", sparsity=0.8, output=folder / "pruned.keras")
    tiles = [tile(kernel(path), 10 + 72 * (n % 2), 8 + 34 * (n // 2), 6) for n, path in enumerate(paths)]
    parts = [
        *tiles,
        '<text x="76" y="196" text-anchor="middle">ckpt-*.keras</text>',
        arrow(150, 92, 130, ("wtool average", "--exp .9")),
        tile(kernel(folder / "average.keras"), 290, 52, 16),
        '<text x="370" y="196" text-anchor="middle">average.keras</text>',
        arrow(460, 92, 130, ("wtool prune", "--sparsity .8")),
        tile(kernel(folder / "pruned.keras"), 600, 52, 16),
        '<text x="680" y="196" text-anchor="middle">pruned.keras</text>',
    ]
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 770 206" role="img">'
    title = "<title>Ten checkpoints are averaged into one model, which is then pruned to 80 % zeros</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def main() -> None:
    """Draw the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "assets" / "overview.svg"
    with TemporaryDirectory() as folder:
        target.write_text(picture(Path(folder)))


if __name__ == "__main__":
    main()

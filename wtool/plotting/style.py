"""The style of plots, and writing them to files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from wtool.errors import Usage, WtoolError, one_line
from wtool.io.addresses import name_of
from wtool.io.drafts import new_draft
from wtool.io.places import Target

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#882255", "#999933", "#332288")
"""Colours that the colour-blind can tell apart and that stand out from white, with a contrast of 3:1 or more.

The first five are those of Okabe and Ito that have that contrast, the others are of Paul Tol's scheme "muted".
"""

DASHES = ("-", "--", "-.", ":")
GREY = "#666666"
LIGHTEST = 0.6  # of the colours of a scale from 0, the darkest: lighter ones have a contrast below 3:1 with white

WIDTH = 7.0  # inches: the width of the text on a page of a paper, so that words keep their size there

DATES = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Suffix of an output -> the metadata that leaves dates out of it."""

STYLE: dict[str, Any] = {
    "svg.hashsalt": "wtool",
    "text.parse_math": False,  # names are data
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 150,
}


def suffix_of(output: str) -> str:
    """`.png`, `.svg` or `.pdf`.

    Raises:
        Usage: another one.
    """
    found = os.path.splitext(output)[1].lower()
    if found not in DATES:
        raise Usage(f"plots are {', '.join(DATES)}: the output's name has to end in one of these", output)
    return found


@contextmanager
def styled() -> Iterator[None]:
    """Draw in wtool's style, whatever the user's own is.

    Raises:
        WtoolError: matplotlib is not installed.
    """
    try:
        import matplotlib.style
    except ModuleNotFoundError:
        raise WtoolError("plots need matplotlib: pip install 'wtool[plot]'") from None
    with warnings.catch_warnings(), matplotlib.style.context(["default", STYLE]):
        warnings.filterwarnings("ignore", "Glyph")  # of a name, that the font does not have
        yield


def publish(figures: Sequence[Any], output: str, force: bool) -> tuple[str, ...]:
    """Write figures, each file whole or not at all. The same version of matplotlib writes the same bytes.

    Several figures are the pages of one .pdf file, or files of their own: `weights.png` becomes `weights-1.png`,
    `weights-2.png` and so on.

    Returns:
        the paths of the files.
    """
    suffix = suffix_of(output)
    for figure in figures:
        _settle(figure)
    stem = output[: -len(suffix)]
    is_one_file = suffix == ".pdf" or len(figures) == 1
    outputs = [output] if is_one_file else [f"{stem}-{number + 1}{suffix}" for number in range(len(figures))]
    with ExitStack() as stack:
        drafts = [stack.enter_context(new_draft(Target.at(each, force))) for each in outputs]
        if suffix == ".pdf":
            _save_pages(figures, drafts[0].file)
        else:
            for figure, draft in zip(figures, drafts, strict=True):
                figure.savefig(draft.file, format=suffix[1:], metadata=DATES[suffix])
        for draft in drafts:
            draft.publish()
    return tuple(outputs)


def _save_pages(figures: Sequence[Any], file: Any) -> None:
    from matplotlib.backends.backend_pdf import PdfPages

    with PdfPages(file, metadata=DATES[".pdf"]) as pages:
        for figure in figures:
            pages.savefig(figure)


def _settle(figure: Any) -> None:
    """Lay a figure out, rounded to a millionth: the solver's last bits depend on where its variables are in memory."""
    for _ in range(2):  # ticks may change with the size, and with them what their labels need
        figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(float(each), 6) for each in axes.get_position().bounds])


def label(name: str, most: int = 60) -> str:
    """Returns a name from a file as matplotlib may show it: escaped, and the end of a long name."""
    text = one_line(name)
    text = text if len(text) <= most else f"…{text[1 - most :]}"
    return f" {text}" if text.startswith("_") else text  # it leaves names with an underscore out of legends


def short_names(paths: Sequence[str]) -> list[str]:
    """Returns the files' own names, or their paths where names are the same."""
    names = ["standard input" if path == "-" else name_of(path) for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def by_rows(items: Sequence[Any], columns: int) -> list[Any]:
    """Returns items of a legend in an order that matplotlib, which fills columns, shows row by row."""
    return [each for column in range(columns) for each in items[column::columns]]


def columns_of(names: Sequence[str], width: float = WIDTH) -> int:
    """Returns how many columns a legend of these names may have in a figure, whose width is in inches."""
    widest = 0.6 + 0.075 * max(map(len, names))  # inches: a line, and letters of 9 points
    return max(1, min(len(names), int(width / widest)))

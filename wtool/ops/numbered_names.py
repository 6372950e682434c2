"""Numbers in the names of checkpoints: which of them is the epoch or the step, and which is the value of a metric."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from wtool.checkpoint.layouts.registry import extension
from wtool.checkpoint.search import is_model_name
from wtool.errors import Usage
from wtool.io.addresses import name_of, trimmed
from wtool.values import dataclass

NUMBER = re.compile(
    r"(?<![0-9])(?<![0-9]\.)"  # the 3 of 1.2.3 is none
    r"(?:(?<=[^0-9A-Za-z])-)?"  # a minus after a letter or digit is a hyphen
    r"[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]+)?"
)
"""A number in a name: whole, with decimals, or with an exponent that has a sign."""

LABEL = re.compile(r"([A-Za-z][A-Za-z0-9_]*?)[-_=:. ]*$")
"""The word before a number: `val_loss` in `ckpt-03-val_loss=0.45`."""

METRIC = re.compile(r"(^|_)val_|loss|acc|auc|err|mae|mse|f1|prec|recall|iou|dice|score", re.IGNORECASE)
"""Words before numbers that say of the number that it is the value of a metric."""

EPOCH, STEP = ("epoch", "epochs", "ep", "e"), ("step", "steps", "global_step", "iter", "iteration", "iterations")
"""Words before numbers that say of the number that it counts epochs, or steps."""


@dataclass(frozen=True, slots=True)
class Column:
    """The number at one place in the names of several checkpoints.

    Attributes:
        label: the word before the number, or nothing.
        texts: the number in each name, as it stands there.
    """

    label: str
    texts: tuple[str, ...]

    @property
    def values(self) -> list[float]:
        """The numbers."""
        return [float(text) for text in self.texts]

    @property
    def is_whole(self) -> bool:
        """Whether all are whole numbers from 0 up, written without decimals."""
        return all(text.isdigit() for text in self.texts)

    @property
    def varies(self) -> bool:
        """Whether the names differ in the number; the number of a single name counts as one that does."""
        return len(set(self.values)) > 1 or len(self.texts) == 1


def columns(paths: Sequence[str]) -> list[Column]:
    """Returns the numbers in the names of checkpoints, which are called alike but for their numbers.

    Raises:
        Usage: a name has no number, another form than the others, or numbers that run together (`3.0.45`).
    """
    names = own_names(paths)
    forms = [tuple(NUMBER.split(name)) for name in names]
    usual, _ = Counter(forms).most_common(1)[0]
    example = paths[forms.index(usual)]
    for path, form in zip(paths, forms, strict=True):
        if any(re.search("[0-9]", text) for text in form):
            raise Usage(f"{path}: the numbers in its name run together, and cannot be told apart")
        if len(form) == 1:
            raise Usage(f"{path}: its name has no number")
        if form != usual:
            raise Usage(f"{path}: its name has another form than {example}, so its numbers may mean something else")
    labels = [_label(names[0][: found.start()]) for found in NUMBER.finditer(names[0])]
    rows = [NUMBER.findall(name) for name in names]
    return [Column(label, texts) for label, texts in zip(labels, zip(*rows, strict=True), strict=True)]


def own_names(paths: Sequence[str]) -> list[str]:
    """Returns the names of checkpoints without folders and extensions; with folders where files have one name."""
    bases = [name_of(trimmed(path)) for path in paths]
    whole = bases if len(set(bases)) == len(bases) else paths
    return [name[: len(name) - len(extension(name))] if is_model_name(name) else name for name in whole]


def _label(before: str) -> str:
    """Returns the word at the end of a text, without numbers that stand between underscores: `ckpt_03_` gives none."""
    found = LABEL.search(before)
    return re.split("(?:^|_)[0-9]+(?:_|$)", found[1].lower())[-1] if found else ""


def counts(paths: Sequence[str], labels: Sequence[str]) -> list[int]:
    """Returns the number in each name that counts epochs or steps.

    It is the whole number that is labelled so (`epoch03`), or else the only whole number in which the names differ and
    that is not labelled as the value of a metric.

    Args:
        paths: of the checkpoints.
        labels: the words that the number may be labelled by.

    Raises:
        Usage: names do not tell such a number, or several that may be meant.
    """
    whole = [each for each in columns(paths) if each.is_whole and each.varies and not METRIC.search(each.label)]
    found = [each for each in whole if _is_called(each.label, labels)] or whole
    what = labels[0]
    return [int(text) for text in _only(found, paths, what).texts]


def metric_values(paths: Sequence[str], metric: str) -> tuple[list[float], bool]:
    """Returns the value of a metric in each name, and whether the name of the metric stands before it.

    Without that, the value is the only number with decimals in which the names differ, unless it is labelled as the
    value of another metric.

    Args:
        paths: of the checkpoints.
        metric: its name, such as `val_loss`.

    Raises:
        Usage: names do not tell such a value, or several that may be meant.
    """
    all_of_them = columns(paths)
    named = [each for each in all_of_them if _is_called(each.label, [metric.lower()])]
    others = [each for each in all_of_them if not each.is_whole and not METRIC.search(each.label)]
    found = named or [each for each in others if each.varies]
    return _only(found, paths, metric).values, bool(named)


def _is_called(label: str, words: Sequence[str]) -> bool:
    """Whether a label is one of some words, perhaps with others before it: `ckpt_val_loss`, but no `val_` before."""
    return any(label == word or (label.endswith(f"_{word}") and not label.endswith(f"val_{word}")) for word in words)


def _only(found: Sequence[Column], paths: Sequence[str], what: str) -> Column:
    if len(found) == 1:
        return found[0]
    if not found:
        raise Usage(f"no number in names like {paths[0]} tells the {what}")
    seen = " or ".join(each.texts[0] for each in found)
    raise Usage(f"the {what} in names like {paths[0]} may be {seen}")

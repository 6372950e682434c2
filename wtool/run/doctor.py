"""Looks at models before they are averaged or merged: whether they share their start, and what speaks against it.

Thresholds are of cosines between kernels. Training moves kernels away from what they started from, but in networks of
some width not far: two runs that share a part of their training, or at least their initial values, keep cosines far
from 0, and runs with other initial values have cosines of about 0, with a standard deviation of 1/sqrt(size).
`docs/reference/average.md` has a table of trained networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.run import pipeline
from wtool.run.diagnosis import TELLING, Diagnosis, Findings, KernelDiagnosis, diagnosis_of
from wtool.run.matching import match
from wtool.run.pipeline import Edit
from wtool.run.selection import arithmetic, selected
from wtool.run.statistics import is_normalising
from wtool.transforms.change import Blocks
from wtool.transforms.likeness import Sums, cosines, mean_of_pairs, norm_of_mean, of_models, sums_of
from wtool.values import dataclass
from wtool.words import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLOSE = 0.8
"""Kernels with a larger cosine are alike: all averages of such models that were tried are as good as the models."""

FAR = 0.25
"""Kernels with a smaller cosine are unlike: no runs from the same initial values were that far apart."""

FEWEST, FEW = 10, 64
"""Kernels with fewer values than the first tell nothing. Those with fewer than the second may be between `FAR` and
`CLOSE` by chance: the cosine of independent kernels of 64 values has a standard deviation of 1/8, half of `FAR`."""

SAME_NORM = 1e-5
"""Relative difference of norms that a permutation makes, by rounding alone; independent runs differ by a percent."""


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one kernel tells of the models.

    Attributes:
        row: for the table.
        unlike: which pairs of models (and the base, the last) have unlike kernels here, shape (n, n).
        norms: of the kernels of the models (and the base), shape (n,).
    """

    row: KernelDiagnosis
    unlike: NDArray[np.bool_]
    norms: NDArray[np.float64]


def examine(
    models: Sequence[Checkpoint],
    keeper: int,
    base: Checkpoint | None = None,
    shares: Sequence[float] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Progress | None = None,
) -> Diagnosis:
    """Returns what speaks for and against an average or merge of open models, after one pass over their weights.

    Memory is bounded: whatever is kept of a tensor has the size of the number of models squared at most.

    Args:
        models: what is averaged or merged.
        keeper: position of the model whose names the tensors have in the diagnosis.
        base: what the models are compared by their differences from, if they have one.
        shares: of the models in the average; equal ones, if None.
        include, exclude: of the tensors that are averaged or merged.
        progress: called with bytes done and bytes in all.

    Raises:
        Refused: models do not match.
        Usage: a pattern matches no tensor.
    """
    checkpoints = [*models, *([] if base is None else [base])]
    named = models[keeper]
    numbers = {each.path for each in arithmetic(named.weights)}
    chosen = [each for each in selected(named.weights, include, exclude) if each.path in numbers]
    found = [each.weights if each is named else match(named, each).tensors for each in checkpoints]
    columns = {row[keeper].path: row for row in zip(*found, strict=True)}
    kernels = {each.path for each in chosen if len(each.shape) > 1 and each.copy_of is None}
    given = np.full(len(models), 1 / len(models)) if shares is None else np.asarray(shares, np.float64)
    look = partial(_look, base is not None)
    edits = [Edit(each, columns[each.path], look) for each in chosen]
    names = [each.name for each in checkpoints]
    seen: dict[str, _Seen] = {}
    nonfinite: dict[str, list[str]] = {}
    zero: dict[str, list[str]] = {}
    for tensor, sums in _whole(checkpoints, edits, progress):
        _note(nonfinite, names, sums.nonfinite > 0, tensor.path)
        if tensor.path in kernels:
            _note(zero, names, sums.nonzero == 0, tensor.path)
            seen[tensor.path] = _seen(tensor, sums, base is not None, given)
    rows = [seen[each.path] for each in chosen if each.path in seen]
    groups = _groups(rows, len(names))
    findings = Findings(
        groups=tuple(tuple(names[at] for at in group) for group in groups),
        has_equal_norms=_has_equal_norms(rows, groups),
        changes=None if base is None else _changes([each.row for each in rows]),
        nonfinite=nonfinite,
        zero=zero,
        has_statistics=any(map(is_normalising, chosen)),
    )
    return diagnosis_of(tuple(each.row for each in rows), findings)


def _look(has_base: bool, blocks: Blocks, start: int, stop: int) -> Sums:
    return sums_of(blocks, has_base)


def _note(found: dict[str, list[str]], names: Sequence[str], which: NDArray[np.bool_], path: str) -> None:
    for at in np.flatnonzero(which):
        found.setdefault(names[int(at)], []).append(path)


def _whole(
    checkpoints: Sequence[Checkpoint], edits: Sequence[Edit], progress: Progress | None
) -> Iterator[tuple[Tensor, Sums]]:
    """The sums of each tensor, whose blocks come one after the other."""
    total: Sums | None = None
    for tensor, _, sums in pipeline.scan(checkpoints, edits, progress):
        total = sums if total is None else total + sums
        if total.size == prod(tensor.shape):
            yield tensor, total
            total = None


def _seen(tensor: Tensor, sums: Sums, has_base: bool, shares: NDArray[np.float64]) -> _Seen:
    count = len(shares)
    products = of_models(sums.products) if has_base else sums.products
    between = cosines(products)
    mean = mean_of_pairs(between)
    unlike = between < FAR
    if mean is None:
        finding = "zero"
    elif sums.size < FEWEST:
        finding = "small"
    elif unlike.any():
        finding = "unlike"
    else:
        finding = "alike" if mean >= CLOSE else "apart" if sums.size >= FEW else "small"
    row = KernelDiagnosis(
        tensor.path,
        sums.size,
        mean_of_pairs(cosines(sums.products[:count, :count])),
        sums.opposed / sums.pairs if sums.pairs else None,
        norm_of_mean(products[:count, :count], shares),
        finding,
    )
    return _Seen(row, unlike, np.sqrt(np.maximum(0, np.diagonal(products))))


def _groups(rows: Sequence[_Seen], count: int) -> list[list[int]]:
    """Positions of models (and the base, the last) that share their start: of two, more than half of their values do.

    Models that share it with a third one share it with each other.
    """
    telling = [each for each in rows if each.row.finding in TELLING]
    size = sum(each.row.size for each in telling)
    unlike = sum((each.row.size * each.unlike for each in telling), np.zeros((count, count)))
    left, groups = list(range(count)), []
    while left:
        group = [left.pop(0)]
        for at in group:  # grows meanwhile
            near = [other for other in left if 2 * unlike[at, other] < size or not size]
            group += near
            left = [other for other in left if other not in near]
        groups.append(sorted(group))
    return groups


def _has_equal_norms(rows: Sequence[_Seen], groups: Sequence[Sequence[int]]) -> bool:
    """Whether all kernels of two models of different groups have the same norms."""
    norms = np.array([each.norms for each in rows])
    return any(
        bool((np.abs(norms[:, a] - norms[:, b]) <= SAME_NORM * norms[:, a]).all())
        for at, group in enumerate(groups)
        for other in groups[at + 1 :]
        for a in group
        for b in other
    )


def _changes(rows: Sequence[KernelDiagnosis]) -> tuple[float, float] | None:
    """Mean over kernels, by their sizes, of the cosine and the share of signs that disagree."""
    known = [(each.size, each.cosine, each.disagreement) for each in rows]
    told = [(size, a, b) for size, a, b in known if a is not None and b is not None]
    size = sum(each[0] for each in told)
    return (sum(n * a for n, a, _ in told) / size, sum(n * b for n, _, b in told) / size) if told else None

"""What was found out about models before they are averaged or merged. This module imports no NumPy."""

from __future__ import annotations

from wtool.errors import a_few
from wtool.values import dataclass

TELLING = ("alike", "apart", "unlike")
"""Findings that tell whether models share their start."""


@dataclass(frozen=True, slots=True)
class KernelDiagnosis:
    """How alike the kernels are that models have at one place. None stands for what zeros do not tell.

    Attributes:
        path: of the kernel.
        size: how many values it has.
        cosine: mean over all pairs of models of the cosine between their kernels; with a base, between the kernels'
            differences from that of the base.
        disagreement: the share of pairs of values with different signs, of the same; 0.5 for independent values.
        norm: the norm of the averaged kernels, divided by the average of their norms.
        finding: `alike`, `apart` or `unlike`; or `small`, where too few values tell nothing; or `zero`, where there are
            no two kernels with values that are not zero.
    """

    path: str
    size: int
    cosine: float | None
    disagreement: float | None
    norm: float | None
    finding: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Whether an average or merge of models can be good, as far as their weights tell.

    Attributes:
        kernels: those that are averaged or merged, in the order of the model.
        is_safe: whether nothing speaks against it.
        verdict: what was found, a sentence each, the most important first.
    """

    kernels: tuple[KernelDiagnosis, ...]
    is_safe: bool
    verdict: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in all kernels together.

    Attributes:
        groups: names of models that share their start, group by group; the base among them.
        has_equal_norms: whether models of different groups have kernels of equal norms, as permuted models have.
        changes: mean over the kernels, by their sizes, of the cosine between differences from the base, and of the
            share of signs that disagree; None without a base, or where nothing differs.
        nonfinite: name of a model -> paths of its tensors that hold NaN or infinite values.
        zero: name of a model -> paths of its kernels whose values are all zero.
        has_statistics: whether moving statistics of batch normalisation are averaged or merged.
    """

    groups: tuple[tuple[str, ...], ...]
    has_equal_norms: bool
    changes: tuple[float, float] | None
    nonfinite: dict[str, list[str]]
    zero: dict[str, list[str]]
    has_statistics: bool


def diagnosis_of(kernels: tuple[KernelDiagnosis, ...], found: Findings) -> Diagnosis:
    """Returns the diagnosis, with its verdict in words."""
    against = [*_starts(kernels, found), *_faults(found)]
    telling = any(each.finding in TELLING for each in kernels)
    close = [] if against else [_closeness(telling, found)]
    return Diagnosis(kernels, not against and telling, (*against, *close, *_changes(found), *_statistics(found)))


def _starts(kernels: tuple[KernelDiagnosis, ...], found: Findings) -> list[str]:
    """What the kernels say against a common start."""
    unlike = [each for each in kernels if each.finding == "unlike"]
    apart = [each for each in kernels if each.finding == "apart"]
    if len(found.groups) > 1:
        models = " | ".join(a_few(group) for group in found.groups)
        order = " (or units in another order: their kernels have equal norms)" if found.has_equal_norms else ""
        kept = _norms(unlike)
        return [
            f"not the same initialisation{order}: an average is not meaningful; "
            f"use `wtool evaluate --ensemble`, or `wtool align` before the average ({models}){kept}"
        ]
    told = []
    if unlike:
        told.append(
            f"{a_few([each.path for each in unlike])}: kernels have nothing in common, as new layers{_norms(unlike)}"
        )
    if sum(each.size for each in apart) * 2 > sum(each.size for each in kernels):
        told.append(
            "far apart, though the models seem to share their initialisation: an average may be worse than its models; "
            f"compare them with `wtool evaluate`{_norms(apart)}"
        )
    return told


def _norms(kernels: list[KernelDiagnosis]) -> str:
    """What an average leaves of the norms of kernels: where that is little, its activations collapse layer by layer."""
    known = [each.norm for each in kernels if each.norm is not None]
    shares = dict.fromkeys(f"{share:.0%}" for share in (min(known), max(known))) if known else ()
    return f"; the average keeps {' to '.join(shares)} of their kernels' norms" if shares else ""


def _faults(found: Findings) -> list[str]:
    nonfinite = [f"{name}: {a_few(paths)} with NaN or infinite values" for name, paths in found.nonfinite.items()]
    return [*nonfinite, *(f"{name}: {a_few(paths)} with zeros alone" for name, paths in found.zero.items())]


def _closeness(telling: bool, found: Findings) -> str:
    if sum(map(len, found.groups)) < 2:
        return "a single model: nothing to compare"
    if not telling:
        return "no kernel has values enough to tell whether the models share their initialisation"
    return "safe: the models share their initialisation, and are near to each other"


def _changes(found: Findings) -> list[str]:
    if found.changes is None:
        return []
    cosine, disagreement = found.changes
    much = (
        "much"
        if cosine > 0.5
        else "something"
        if cosine > 0.1
        else "little"
        if cosine > -0.1
        else "nothing but reverses"
    )
    return [
        f"differences from the base have {much} in common: cosine {cosine:.2f}, {disagreement:.0%} of signs disagree"
    ]


def _statistics(found: Findings) -> list[str]:
    told = "batch normalisation: run `wtool recalibrate` on the result, whose activations have other statistics"
    return [told] if found.has_statistics and sum(map(len, found.groups)) > 1 else []

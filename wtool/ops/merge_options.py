"""Options and result of `wtool.merge`. This module imports no NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from wtool.choices import SCOPES, STATISTICS_OF_MERGES
from wtool.ops.average_options import Average
from wtool.option import Checked, like, option, told
from wtool.run.action import Action
from wtool.run.diagnosis import Diagnosis
from wtool.run.input_model import InputModel
from wtool.run.options import Execution, Output, Seed
from wtool.training.recalibrate_options import Drift
from wtool.transforms.merging.registry import METHODS, RESCALES
from wtool.values import dataclass
from wtool.words import Numbers, Path, Progress

CALCULATED = ("merged", "averaged", "pooled")
"""The first words of what becomes of tensors that take new values."""


@dataclass(frozen=True, kw_only=True)
class Merge(Checked):
    """Merge models into one: fine-tuned ones against the base that they come from, or models with one another.

    The result has the first model's format, configuration and optimizer class; the base only gives values. Every
    floating variable is merged in float64 and rounded once. Whole numbers, such as those of lookup tables, have to be
    the same in all models. The output is `merged` with the first model's extension, in the current folder, unless
    --output says otherwise.

    A number (W, D, ...) is one for all models, or one for each in their order (`1,.5,.25`); `GLOB=W` is for the tensors
    with paths like this, and may be repeated: the first pattern that matches counts, and a number without a pattern is
    for all others. `0:.5:1` goes from the first layer to the last, linear in between. From Python, also lists and
    dictionaries from patterns to numbers. An option that the method has no use for is refused.

    Examples:
        wtool merge a.keras b.keras c.keras --base base.keras --method ties --density .3
        wtool merge tuned.keras --base base.keras --method slerp --t 0:.5:1 -o halfway.keras
        wtool merge a.keras b.keras --base base.keras --method task-arithmetic --weight '*/bias=0' --weight .7,.4
        >>> wtool.merge(["a.keras", "b.keras"], method="ties", base="base.keras", density=0.3)  # doctest: +SKIP

    Source: the papers of the methods, which docs/reference/merge.md names, and mergekit's definitions.
    """

    method: str = field(
        metadata=told("How models are merged; see above.", choices=tuple(METHODS), noun="method", metavar="METHOD")
    )
    base: Path | None = option(None, "The model that the others were fine-tuned from.", metavar="BASE")
    weight: Numbers | None = option(None, "How much a model counts; 1 by default.", metavar="W", is_repeatable=True)
    density: Numbers | None = option(
        None, "The share of a task vector that is kept, 0 to 1.", metavar="D", is_repeatable=True
    )
    lambda_: Numbers | None = option(
        None, "Factor of the merged task vector; 1 by default.", metavar="L", is_repeatable=True, words=("lambda",)
    )
    t: Numbers | None = option(
        None, "How far from the base to the model, or from one model to the other.", metavar="T", is_repeatable=True
    )
    gamma: Numbers | None = option(
        None, "The share of largest values that breadcrumbs drops.", metavar="G", is_repeatable=True
    )
    epsilon: Numbers | None = option(
        None, "By how much della's densities differ from --density.", metavar="E", is_repeatable=True
    )
    select_topk: Numbers | None = option(
        None, "The share of values that sce keeps, those that differ most.", metavar="K", is_repeatable=True
    )
    max_iterations: Numbers | None = option(
        None, "How many steps karcher takes at most.", metavar="N", is_repeatable=True
    )
    tolerance: Numbers | None = option(
        None, "The length of a step behind which karcher stops.", metavar="TOL", is_repeatable=True
    )
    rescale: str | None = option(
        None, "What makes up for values that were dropped at random.", choices=RESCALES, noun="rescaling"
    )
    normalize: bool | None = option(None, "Divide by the sum of the weights, or not.", has_negation=True)
    scope: str | None = option(
        None, "Whether shares are those of each tensor, or of all of a model together.", choices=SCOPES, noun="scope"
    )
    rows: bool | None = option(None, "Take each output unit as a vector of its own, in nuslerp.", has_negation=True)
    filter_wise: bool | None = option(None, "Take the angles of each output unit, in model-stock.", has_negation=True)
    bn: str = option(
        "average",
        "Statistics of batch normalisation: averaged by the weights, pooled (mean of variances plus variance of "
        "means), or the first model's.",
        choices=STATISTICS_OF_MERGES,
        noun="treatment of batch normalisation",
    )
    seed: int | None = like(Seed, "seed")
    doctor: bool = like(Average, "doctor")
    recalibrate: Any = like(Average, "recalibrate")
    output: Path | None = like(Average, "output")
    include: Sequence[str] = like(Average, "include")
    exclude: Sequence[str] = like(Average, "exclude")
    optimizer: str = like(Output, "optimizer")
    dry_run: bool = like(Execution, "dry_run")
    force: bool = like(Execution, "force")
    progress: Progress | None = like(Execution, "progress")
    diagnosed: Callable[[Diagnosis], None] | None = like(Average, "diagnosed")

    @property
    def of_method(self) -> Mapping[str, Any]:
        """The options of methods that were given: name on the command line -> value."""
        names = {name: getattr(self, name) for name in OF_METHODS}
        return {name.rstrip("_"): value for name, value in names.items() if value is not None and value != ()}


OF_METHODS = (
    "weight",
    "density",
    "lambda_",
    "t",
    "gamma",
    "epsilon",
    "select_topk",
    "max_iterations",
    "tolerance",
    "rescale",
    "normalize",
    "scope",
    "rows",
    "filter_wise",
)
"""The options that only some methods have a use for."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What `merge` did, or would do.

    Attributes:
        output: path of the new model, `-` for standard output; None after a dry run.
        method: how the models were merged.
        inputs: the models, each with its role in the merge: `base` or `model`.
        seed: of the random numbers; None where none were drawn.
        actions: path of each tensor of the first model -> what becomes of it.
        parameters: how many numbers were merged.
        notes: what is worth knowing, one line each.
        skipped: the output was there already, made of the same models in the same way.
        diagnosis: what `doctor` found; None without it.
        drifts: path of each layer whose statistics were recalibrated -> how far off they were.
    """

    output: str | None
    method: str
    inputs: tuple[InputModel, ...]
    seed: int | None
    actions: dict[str, Action] = field(repr=False)
    parameters: int
    notes: tuple[str, ...]
    skipped: bool = False
    diagnosis: Diagnosis | None = None
    drifts: dict[str, Drift] = field(default_factory=dict)

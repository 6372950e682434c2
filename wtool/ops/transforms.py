"""The transforms of single models, as functions of files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from wtool.checkpoint.inputs import refuse_two_streams
from wtool.errors import Usage
from wtool.ops.swapped import Swapped
from wtool.run.batch import do_all, fresh_seed, tasks_of, transform_all, words_of
from wtool.run.options import Common, Options, check_common, refuse_unknown
from wtool.run.transform import Transformed
from wtool.transforms.pruning import Prune
from wtool.transforms.stroking import NeuroPlast, Stroke
from wtool.transforms.tickets import Constant, Jitter, Randomize, Reshuffle, Rewind
from wtool.words import Models, Path, Unpack


def prune(
    models: Models,
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    set_value: float = 0.0,
    sparsity: float | None = None,
    criterion: str = "large-final",
    scope: str = "tensor",
    last_layer_scale: float = 1.0,
    initial: Path | None = None,
    **options: Unpack[Options],
) -> list[Transformed]:
    """Set weights to zero: those in a range, or the share of them that matters least.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        min_value, max_value, set_value, sparsity, criterion, scope, last_layer_scale: see `transforms.pruning.Prune`.
        initial: the initial checkpoint, for criteria that compare with it.
        options: see `options.Options`.

    Raises:
        WtoolError: a model could not be pruned; `SomeFailed` of several.
        Usage: words that do not go together.

    Example:
        >>> wtool.prune("trained.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP
    """
    operation = Prune(min_value, max_value, set_value, sparsity, criterion, scope, last_layer_scale)
    return transform_all(operation, models, initial, options)


def stroke(
    models: Models,
    *,
    volatility_ratio: float = 0.05,
    low_bound: float = -0.05,
    high_bound: float = 0.05,
    set_value: float | None = None,
    decay: float | None = None,
    cutoff: int | None = None,
    **options: Unpack[Options],
) -> list[Transformed]:
    """Give a random share of each tensor's weights new values.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        volatility_ratio, low_bound, high_bound, set_value, decay, cutoff: see `transforms.stroking.Stroke`; how often a
            model was stroked before, its lineage tells.
        options: see `options.Options`.

    Raises:
        WtoolError: a model could not be stroked; `SomeFailed` of several.
        Usage: words that do not go together.

    Example:
        >>> wtool.stroke("trained.keras", volatility_ratio=0.1, seed=1)  # doctest: +SKIP
    """
    operation = Stroke(volatility_ratio, low_bound, high_bound, set_value, decay, cutoff)
    return transform_all(operation, models, None, options)


def neuroplast(
    models: Models,
    *,
    min_value: float = -0.01,
    max_value: float = 0.01,
    low_bound: float = -0.05,
    high_bound: float = 0.05,
    set_value: float | None = None,
    cutoff: int | None = None,
    **options: Unpack[Options],
) -> list[Transformed]:
    """Give weights near zero new values.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        min_value, max_value, low_bound, high_bound, set_value, cutoff: see `transforms.stroking.NeuroPlast`.
        options: see `options.Options`.

    Raises:
        WtoolError: a model could not be changed; `SomeFailed` of several.
        Usage: words that do not go together.

    Example:
        >>> wtool.neuroplast("trained.keras", min_value=-0.001, max_value=0.001)  # doctest: +SKIP
    """
    operation = NeuroPlast(min_value, max_value, low_bound, high_bound, set_value, cutoff)
    return transform_all(operation, models, None, options)


def rewind(models: Models, *, initial: Path, **options: Unpack[Options]) -> list[Transformed]:
    """Give the initial checkpoint the masks of pruned models: initial values where a model is not zero, zero elsewhere.

    Args:
        models: pruned models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: any earlier checkpoint of theirs; all else in the results is its own, optimizer included.
        options: see `options.Options`.

    Raises:
        WtoolError: a model could not be rewound; `SomeFailed` of several.
        Usage: words that do not go together.

    Example:
        >>> wtool.rewind("pruned.keras", initial="init.keras", output="ticket.keras")  # doctest: +SKIP
    """
    return transform_all(Rewind(), models, initial, options)


def jitter(
    models: Models, *, initial: Path, sd: float = 0.01, same_sign: bool = True, **options: Unpack[Options]
) -> list[Transformed]:
    """Like `rewind`, with Gaussian noise added where weights are kept; see `transforms.tickets.Jitter`."""
    return transform_all(Jitter(sd, same_sign), models, initial, options)


def randomize(
    models: Models, *, initial: Path, same_sign: bool = True, keep_biases: bool = False, **options: Unpack[Options]
) -> list[Transformed]:
    """Like `rewind`, with fresh values from each layer's initializer; see `transforms.tickets.Randomize`."""
    return transform_all(Randomize(same_sign, keep_biases), models, initial, options)


def reshuffle(
    models: Models, *, initial: Path, same_sign: bool = True, keep_biases: bool = False, **options: Unpack[Options]
) -> list[Transformed]:
    """Like `rewind`, with the kept initial values permuted; see `transforms.tickets.Reshuffle`."""
    return transform_all(Reshuffle(same_sign, keep_biases), models, initial, options)


def constant(
    models: Models,
    *,
    initial: Path,
    value: float | None = None,
    same_sign: bool = True,
    keep_biases: bool = False,
    **options: Unpack[Options],
) -> list[Transformed]:
    """Like `rewind`, with plus or minus one value where weights are kept; see `transforms.tickets.Constant`."""
    return transform_all(Constant(value, same_sign, keep_biases), models, initial, options)


def swap(
    models: Models,
    *,
    to: str,
    layers: Sequence[str] = (),
    fill: str = "zero",
    xmin_lim: float | None = None,
    xmax_lim: float | None = None,
    L: float | None = None,
    auto_rot: bool = True,
    verify: bool = False,
    **options: Unpack[Common],
) -> list[Swapped]:
    """Swap layers for Auto-Rotating or linked ones, and back.

    Args:
        models: whole models, `.keras` or `.h5`: files, folders (searched for models), patterns, or `-`.
        to, layers, fill, xmin_lim, xmax_lim, L, auto_rot: see `swapping.change.Swap`.
        verify: run old and new model on random input with Keras, and tell the largest difference.
        options: see `options.Common`.

    Raises:
        SomeFailed: some of several models failed.
        WtoolError: the only model failed.
        Usage: words that do not go together.
        TypeError: options that do not exist.
    """
    from wtool.graphs.change import Swap
    from wtool.ops.swap import Swapping

    refuse_unknown("swap", options, Common, own=[*(each.name for each in fields(Swap)), "verify"])
    words = words_of(models)
    refuse_two_streams(words)
    check_common(words, options)
    if isinstance(layers, str):
        raise Usage("layers is a list of texts, not a single text")
    wanted = Swap(to, tuple(layers), fill, xmin_lim, xmax_lim, L, auto_rot)
    given = options.get("seed")
    planner = Swapping(
        wanted,
        optimizer=options.get("optimizer") or "follow",
        seed=fresh_seed() if given is None else given,
        seed_is_given=given is not None,
        force=options.get("force", False) or options.get("in_place", False),
        verify=verify,
    )
    tasks = tasks_of(planner, words, "swap", options)
    as_files = not any("-" in (task.model, task.goal.path) for task in tasks)
    if verify and (options.get("dry_run") or options.get("in_place") or not as_files):
        raise Usage("verifying needs the old and the new model as files: no dry run, not in place, no pipe")
    return do_all(tasks, options)

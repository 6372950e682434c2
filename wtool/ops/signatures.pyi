"""Signatures of the functions that are made of options, for type checkers. Written by `make docs`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wtool.ops.align_options import Aligned
from wtool.ops.average_options import Averaged
from wtool.ops.converted import Converted
from wtool.ops.index_options import Indexed
from wtool.ops.merge_options import Merged
from wtool.ops.shrunk import Shrunk
from wtool.ops.swapped import Swapped
from wtool.recipes.running import RecipeRun
from wtool.reporting.options import Reported
from wtool.run.diagnosis import Diagnosis
from wtool.run.moving_average import MovingAverage
from wtool.run.packed import Packed
from wtool.run.patched import Patched
from wtool.run.transform import Transformed
from wtool.training.evaluate_options import Evaluated
from wtool.training.fitting.epoch import Epoch
from wtool.training.lottery.options import Lottery, Trained
from wtool.training.lottery.summaries import Line
from wtool.training.recalibrate_options import Recalibrated
from wtool.training.resume_options import Resumed
from wtool.training.soups.options import Souped
from wtool.words import Models, Numbers, Path, Progress

def constant(
    models: Models,
    *,
    initial: Path,
    value: float | None = None,
    same_sign: bool = True,
    keep_biases: bool = False,
    pruned: str = "zero",
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give the initial checkpoint the mask of a pruned model, with plus or minus one value where weights are kept.

    Without a value, its magnitude is the standard deviation of the layer's own initializer. With `same_sign`, the sign
    is that of the initial value; otherwise, and where that is zero, each sign is as likely.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: The initial checkpoint, or any earlier one.
        value (V): Its magnitude; that of the initializer by default.
        same_sign: Keep the sign of each initial value.
        keep_biases: Keep the initial biases, instead of zero.
        pruned: What pruned weights are: zero, or their initial values, held in training. One of zero,
            initial.
        optimizer: What becomes of the initial checkpoint's optimizer. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.constant("pruned.keras", initial="init.keras", value=0.05, output="ticket.keras")  # doctest: +SKIP
    """

def jitter(
    models: Models,
    *,
    initial: Path,
    sd: float = 0.01,
    same_sign: bool = True,
    keep_biases: bool = True,
    pruned: str = "zero",
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give the initial checkpoint the mask of a pruned model, and add Gaussian noise where weights are kept.

    With `same_sign`, values that the noise carried over zero are reflected, so that every sign stays.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: The initial checkpoint, or any earlier one.
        sd: Standard deviation of the noise.
        same_sign: Keep the sign of each initial value.
        keep_biases: Keep the initial biases, instead of zero.
        pruned: What pruned weights are: zero, or their initial values, held in training. One of zero,
            initial.
        optimizer: What becomes of the initial checkpoint's optimizer. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.jitter("pruned.keras", initial="init.keras", sd=0.01, output="ticket.keras")  # doctest: +SKIP
    """

def neuroplast(
    models: Models,
    *,
    min_value: float = -0.01,
    max_value: float = 0.01,
    low_bound: float = -0.05,
    high_bound: float = 0.05,
    set_value: float | None = None,
    cutoff: int | None = None,
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give weights near zero new values: uniform between two bounds, or one value.

    All w with min_value <= w <= max_value, both ends included and compared in the tensor's own dtype, become uniform in
    [low_bound, high_bound], or `set_value`. A negative cutoff is none.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        min_value (A): With `max_value`: which.
        max_value (B): With `min_value`: which.
        low_bound (L): New values are drawn from L...
        high_bound (H): ... to H, uniformly.
        set_value (V): The new value, instead of random ones.
        cutoff (N): From the N+1-th time on, nothing happens to a model.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.neuroplast("trained.keras", min_value=-0.001, max_value=0.001)  # doctest: +SKIP

    Source: KeraStroke's NeuroPlast, which ignores a set value of 0.
    """

def prune(
    models: Models,
    *,
    min_value: float | None = None,
    max_value: float | None = None,
    set_value: float = 0.0,
    sparsity: float | None = None,
    criterion: str = "large-final",
    scope: str | None = None,
    last_layer_scale: float = 1.0,
    budget: str | None = None,
    pattern: str | None = None,
    block: str | None = None,
    schedule: str | None = None,
    step: str | None = None,
    initial: Path | None = None,
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Prune models: weights in a range, or the share that matters least, become zero.

    By range, all w with min_value <= w <= max_value, compared in the tensor's own dtype. By sparsity S, exactly
    round(S*n) of n weights: those with the lowest scores, ties by position; weights that are zero already come first,
    and are counted in.

    A budget says how the sparsity is spread over tensors: `uniform`, S of each; `global`, S of all together, with one
    threshold; `lamp`, the same with scores that no tensor is emptied by; `erk`, less of small tensors; `uniform+`, none
    of a first convolution and at most 80 % of the last layer. The scopes `tensor` and `global` are other names of the
    first two. With a scale of the last layer, the output layer's kernel is pruned by itself, whatever the budget.

    By a pattern N:M, N of each M values along the axis of inputs are kept. By blocks RxC, blocks of R inputs and C
    outputs are pruned as a whole. With a schedule, S is what its last step reaches.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        min_value (A): With `max_value`: what is in [A, B] is pruned.
        max_value (B): With `min_value`: what is in [A, B] is pruned.
        set_value (V): What pruned ones become.
        sparsity (S): The share to prune, 0 to 1, by `criterion`.
        criterion: What makes a weight matter. One of large-final, large-init-large-final, magnitude-
            increase, movement, large-final-same-sign, large-init, random, lf, lilf, mi, mov, lfss, li.
        scope: S of each tensor (the default), or of all together, as with `budget`. One of tensor,
            global.
        last_layer_scale (F): The output layer's kernel is pruned to S*F.
        budget: How the sparsity is spread over tensors. One of uniform, uniform+, erk, lamp, global.
        pattern: Keep N of each M inputs of an output, such as 2:4.
        block: Prune blocks of R inputs and C outputs, such as 4x4.
        schedule: How the sparsity grows to S, with `step`. One of geometric, linear, polynomial.
        step: The step of the schedule, such as 3/10.
        initial: The initial checkpoint, or any earlier one.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.prune("trained.keras", sparsity=0.8, output="pruned.keras")  # doctest: +SKIP

    Source: KeraStroke's Pruning (range); Frankle & Carbin, arXiv:1803.03635 (sparsity, the scale of the last layer);
    Zhou et al., arXiv:1905.01067 (criteria); Evci et al., arXiv:1911.11134 (`erk`); Gale et al., arXiv:1902.09574
    (`uniform+`); Lee et al., arXiv:2010.07611 (`lamp`); Mishra et al., arXiv:2104.08378 (patterns); Zhu & Gupta,
    arXiv:1710.01878 (the polynomial schedule).
    """

def randomize(
    models: Models,
    *,
    initial: Path,
    same_sign: bool = True,
    keep_biases: bool = False,
    pruned: str = "zero",
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give the initial checkpoint the mask of a pruned model, with fresh values from each layer's initializer.

    Where nothing tells the initializer, they are Gaussian with the standard deviation of the initial tensor. With
    `same_sign`, each value gets the sign of the initial one.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: The initial checkpoint, or any earlier one.
        same_sign: Keep the sign of each initial value.
        keep_biases: Keep the initial biases, instead of zero.
        pruned: What pruned weights are: zero, or their initial values, held in training. One of zero,
            initial.
        optimizer: What becomes of the initial checkpoint's optimizer. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.randomize("pruned.keras", initial="init.keras", output="control.keras")  # doctest: +SKIP
    """

def reshuffle(
    models: Models,
    *,
    initial: Path,
    same_sign: bool = True,
    keep_biases: bool = False,
    pruned: str = "zero",
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give the initial checkpoint the mask of a pruned model, with the kept values of each tensor permuted.

    The values are permuted among the kept positions. With `same_sign`, positive values go where positive ones were,
    negative where negative ones were, and zeros stay.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: The initial checkpoint, or any earlier one.
        same_sign: Keep the sign of each initial value.
        keep_biases: Keep the initial biases, instead of zero.
        pruned: What pruned weights are: zero, or their initial values, held in training. One of zero,
            initial.
        optimizer: What becomes of the initial checkpoint's optimizer. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.reshuffle("pruned.keras", initial="init.keras", output="control.keras")  # doctest: +SKIP
    """

def rewind(
    models: Models,
    *,
    initial: Path,
    pruned: str = "zero",
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give the initial checkpoint the mask of a pruned model: initial values where that is not zero, zero elsewhere.

    The initial checkpoint may be any earlier one; all else in the results is its own, optimizer included. With
    `pruned` as `initial`, pruned weights have their initial values too, and `resume` holds them there.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        initial: The initial checkpoint, or any earlier one.
        pruned: What pruned weights are: zero, or their initial values, held in training. One of zero,
            initial.
        optimizer: What becomes of the initial checkpoint's optimizer. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.rewind("pruned.keras", initial="init.keras", output="ticket.keras")  # doctest: +SKIP

    Source: Frankle & Carbin, arXiv:1803.03635.
    """

def stroke(
    models: Models,
    *,
    volatility_ratio: float = 0.05,
    low_bound: float = -0.05,
    high_bound: float = 0.05,
    set_value: float | None = None,
    decay: float | None = None,
    cutoff: int | None = None,
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    weights: bool = True,
    biases: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Transformed]:
    """Give a random share of the weights new values: uniform between two bounds, or one value.

    Exactly round(R*n) distinct ones of a tensor's n values, every such choice being as likely as any other, become
    uniform in [low_bound, high_bound], or `set_value`. The k-th stroke of a model uses R = volatility_ratio *
    decay**(k-1), never above 1; how often a file was stroked before, its lineage tells. A negative cutoff is none.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        volatility_ratio (R): The share of each tensor, 0 to 1.
        low_bound (L): New values are drawn from L...
        high_bound (H): ... to H, uniformly.
        set_value (V): The new value, instead of random ones.
        decay (D): The k-th stroke of a model takes R*D^(k-1), at most 1.
        cutoff (N): From the N+1-th time on, nothing happens to a model.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        weights: Kernels of every kind.
        biases: Biases.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Transformed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.stroke("trained.keras", volatility_ratio=0.1, seed=1)  # doctest: +SKIP

    Source: KeraStroke's Stroke, which draws positions with repetition and ignores a set value of 0.
    """

def align(
    models: Models,
    *,
    to: Path,
    restarts: int = 1,
    iterations: int = 100,
    lock: Sequence[str] = (),
    verify: bool = False,
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
    seed: int | None = None,
) -> list[Aligned]:
    """Put the channels of models in the order in which their weights are most like those of a reference.

    Hidden units, filters and attention heads of a network may change places, together with all that belongs to them,
    and the network computes the same. Two trainings that began from different initial values have learnt similar
    channels in another order, so that an average of their weights means nothing; an average with the aligned model may.
    The models need one architecture. The optimizer's state goes along with the weights.

    With W the weights of the reference, V those of the model and P a permutation of each group of channels, align looks
    for the largest sum over tensors of <W, P(V)>: first from the front of the graph to the back, then group by group in
    a random order, round by round, until nothing gets better. What it finds is a local optimum; `restarts` makes more
    searches, which begin with the channels as they are, and keeps the best result.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        to: The model whose channels the others are to be like.
        restarts (K): Searches, of which the best counts.
        iterations (N): Rounds of a search at most.
        lock: Channels of layers with paths like this stay where they are; repeatable.
        verify: Run old and new model with Keras; tell the largest difference.
        optimizer: What becomes of the optimizer's state. One of keep, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.
        seed (N): Of the random numbers; a fresh one by default.

    Returns:
        one `wtool.Aligned` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.align("a.keras", to="b.keras", output="a-like-b.keras")  # doctest: +SKIP

    Source: Ainsworth, Hayase & Srinivasa, "Git Re-Basin: Merging Models modulo Permutation Symmetries",
    arXiv:2209.04836, algorithm 1.
    """

def average(
    paths: Models,
    *,
    equal: bool = False,
    linear: bool = False,
    decay: float | None = None,
    exp: float | None = None,
    alpha: float | None = None,
    coefficients: Sequence[float] | None = None,
    power: float | None = None,
    sigma_rel: float | None = None,
    last: int | None = None,
    best: int | None = None,
    by: str | None = None,
    mode: str | None = None,
    log: Path | None = None,
    order: str | None = None,
    doctor: bool = False,
    allow_nonfinite: bool = False,
    bn: str = "average",
    recalibrate: Any = None,
    output: Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    optimizer: str = "follow",
    dry_run: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    diagnosed: Callable[[Diagnosis], None] | None = None,
) -> Averaged:
    """Average checkpoints of one run into a new model, with the newest's format, configuration and optimizer class.

    Every floating variable is averaged in float64 and rounded once; seeds, counters, integer tables and quantised
    kernels are the newest's. Coefficients are normalised to add up to 1. The output is `average` with the newest's
    extension, in the current folder, unless `output` says otherwise.

    Every value is round(sum_i(c_i * x_i) / sum_i(c_i)) in the variable's own dtype, which is `numpy.average` to the
    bit. One of `equal`, `linear`, `decay`, `alpha`, `coefficients`, `power` and `sigma_rel` gives the coefficients c_i;
    `equal` is the default. In the order `natural`, numbers in paths are compared as numbers; `given` is that of
    `paths`, and `mtime` that of the times of change.

    Args:
        paths: files, folders (searched for models), patterns, or `-` for standard input.
        equal: Every checkpoint counts the same (the default).
        linear: The k-th newest of n counts n-k+1.
        decay (D): Each counts D^age, the newest having age 0; 0 < D <= 1.
        exp: the same as `decay`.
        alpha (A): The i-th newest counts e^(-i/A).
        coefficients: One for each checkpoint, in order.
        power (G): Each counts t^(G+1) - s^(G+1): t is its step, s that of the one before; G > -1.
        sigma_rel (S): The same, with the G of this relative width; 0 < S <= 0.3.
        last (N): Only the N newest.
        best (K): Only the K best by a metric (`by`).
        by: The metric: its values are in names, or in a `log`.
        mode: Whether low or high values are better; by default what the metric's name tells. One of
            min, max.
        log: Values by epoch: CSV of Keras's CSVLogger, or what `wtool resume --log` writes.
        order: From oldest to newest: by path with numbers as numbers (the default), as given (the
            default for `coefficients` of files that are named one by one), or by time of change. One of
            natural, given, mtime.
        doctor: Look first whether these models can be averaged, and say what speaks against it.
        allow_nonfinite: Average NaN and infinities instead of refusing them.
        bn: Statistics of batch normalisation: averaged as all else, pooled (mean of variances plus
            variance of means), or the newest's. One of average, pool, newest.
        recalibrate: Then set the statistics of batch normalisation to those of this data, as `wtool
            recalibrate` does.
        output: The new file; - for standard output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        progress: called with bytes done and bytes in all.
        diagnosed: called with what `doctor` found, before anything is written.

    Returns:
        one `wtool.Averaged`.

    Raises:
        WtoolError: a file is missing or damaged, checkpoints do not match, values are not finite, or the output exists.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.average(["ckpt-1.keras", "ckpt-2.keras"], decay=0.9, output="average.keras")  # doctest: +SKIP

    Source: the Polyak-averaging tutorial, whose coefficients are those of `alpha`.
    """

def merge(
    models: Models,
    *,
    method: str,
    base: Path | None = None,
    weight: Numbers | None = None,
    density: Numbers | None = None,
    lambda_: Numbers | None = None,
    t: Numbers | None = None,
    gamma: Numbers | None = None,
    epsilon: Numbers | None = None,
    select_topk: Numbers | None = None,
    max_iterations: Numbers | None = None,
    tolerance: Numbers | None = None,
    rescale: str | None = None,
    normalize: bool | None = None,
    scope: str | None = None,
    rows: bool | None = None,
    filter_wise: bool | None = None,
    bn: str = "average",
    seed: int | None = None,
    doctor: bool = False,
    recalibrate: Any = None,
    output: Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    optimizer: str = "follow",
    dry_run: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    diagnosed: Callable[[Diagnosis], None] | None = None,
) -> Merged:
    """Merge models into one: fine-tuned ones against the base that they come from, or models with one another.

    The result has the first model's format, configuration and optimizer class; the base only gives values. Every
    floating variable is merged in float64 and rounded once. Whole numbers, such as those of lookup tables, have to be
    the same in all models. The output is `merged` with the first model's extension, in the current folder, unless
    `output` says otherwise.

    A number (W, D, ...) is one for all models, or one for each in their order (`1,.5,.25`); `GLOB=W` is for the tensors
    with paths like this, and may be repeated: the first pattern that matches counts, and a number without a pattern is
    for all others. `0:.5:1` goes from the first layer to the last, linear in between. From Python, also lists and
    dictionaries from patterns to numbers. An option that the method has no use for is refused.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        method: How models are merged; see above. One of linear, task-arithmetic, ties, dare-linear,
            dare-ties, della, della-linear, breadcrumbs, breadcrumbs-ties, sce, model-stock, slerp,
            nuslerp, multislerp, karcher, nearswap, wise-ft.
        base: The model that the others were fine-tuned from.
        weight (W): How much a model counts; 1 by default.
        density (D): The share of a task vector that is kept, 0 to 1.
        lambda_ (L): Factor of the merged task vector; 1 by default.
        t (T): How far from the base to the model, or from one model to the other.
        gamma (G): The share of largest values that breadcrumbs drops.
        epsilon (E): By how much della's densities differ from `density`.
        select_topk (K): The share of values that sce keeps, those that differ most.
        max_iterations (N): How many steps karcher takes at most.
        tolerance: The length of a step behind which karcher stops.
        rescale: What makes up for values that were dropped at random. One of expected, l1, none.
        normalize: Divide by the sum of the weights, or not.
        scope: Whether shares are those of each tensor, or of all of a model together. One of tensor,
            global.
        rows: Take each output unit as a vector of its own, in nuslerp.
        filter_wise: Take the angles of each output unit, in model-stock.
        bn: Statistics of batch normalisation: averaged by the weights, pooled (mean of variances plus
            variance of means), or the first model's. One of average, pool, first.
        seed (N): Of the random numbers; a fresh one by default.
        doctor: Look first whether these models can be averaged, and say what speaks against it.
        recalibrate: Then set the statistics of batch normalisation to those of this data, as `wtool
            recalibrate` does.
        output: The new file; - for standard output.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        progress: called with bytes done and bytes in all.
        diagnosed: called with what `doctor` found, before anything is written.

    Returns:
        one `wtool.Merged`.

    Raises:
        WtoolError: a file is missing or damaged, models do not match, values are not finite, or the output exists.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.merge(["a.keras", "b.keras"], method="ties", base="base.keras", density=0.3)  # doctest: +SKIP

    Source: the papers of the methods, which docs/reference/merge.md names, and mergekit's definitions.
    """

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
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Swapped]:
    """Swap layers of models for Auto-Rotating or linked ones, and back.

    A swap to `linked`, `autorot` or `plain` takes every layer that has such a variant; the name of one of wtool's
    layers takes only those that become it. Without `layers`, all hidden layers are taken.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        to: linked, autorot, plain, LKReLU, LKSELU, LKSwish, LKPReLU, Linked, AutoRotDense,
            AutoRotConv1D, AutoRotConv2D, AutoRotConv3D, AutoRotConv1DTranspose, AutoRotConv2DTranspose,
            AutoRotConv3DTranspose, AutoRotSeparableConv1D, AutoRotSeparableConv2D,
            AutoRotDepthwiseConv1D, AutoRotDepthwiseConv2D, AutoRotSimpleRNN, AutoRotLSTM, AutoRotGRU.
        layers: Only layers with paths like this; names output layers, too.
        fill: Linked: weights of the new half. One of zero, initializer, mirror.
        xmin_lim (A): AutoRot: inputs are from A, where no layer before tells.
        xmax_lim (B): AutoRot: inputs are up to B, where no layer before tells.
        L: AutoRot: where the dynamic region ends; else by activation.
        auto_rot: AutoRot: switched on or off.
        verify: Run old and new model with Keras; tell the largest difference.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Swapped` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.swap("model.keras", to="linked", layers=["block1/*"], verify=True)  # doctest: +SKIP
    """

def convert(
    models: Models,
    *,
    output: Path | None = None,
    to: str | None = None,
    replace: Sequence[str] = (),
    rename: Sequence[str] = (),
    attribute: Sequence[str] = (),
    input_shape: str | None = None,
    architecture: Path | None = None,
    like: Path | None = None,
    map: Path | None = None,
    transpose: Sequence[str] = (),
    shard_size: str | None = None,
    unzipped: bool = False,
    optimizer: str = "keep",
    verify: bool = False,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Converted]:
    """Turn models of Keras 2 into models of Keras 3, and models of each format into those of another.

    The result computes what the model did; what cannot be kept is refused with the layer and the reason. Neither Keras
    nor the model's code is needed. A result is called like its model, with the ending of its format.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        output: A file, a folder for many models (new/), or - for standard output.
        to: Format of the result; by default the ending of `output` tells it, else keras. One of keras,
            h5, weights.h5, weights.json, safetensors.
        replace: LAYER=CLASS:key=value,key=value or LAYER=FILE.json: what takes the place of a Lambda
            layer.
        rename: OLD=NEW: registered names of a custom class.
        attribute: LAYER=NAME,NAME: attributes in which a custom layer (. for the model) holds its
            layers.
        input_shape: Shape of an input (28,28,1) that the model does not tell; none for any size.
        architecture: What model.to_json() wrote, for a file that has weights alone.
        like: A model that gets the weights of the files in place of its own.
        map: With `like`: a JSON object, name of a tensor in the file to path in the model.
        transpose: With `like`: names of kernels that stand as in PyTorch, outputs first; * is any text.
        shard_size: Most bytes of a shard of weights.json (500MB, 2GB).
        unzipped: Write a .keras model as a folder.
        optimizer: What becomes of the optimizer's state. One of keep, drop.
        verify: Run the new model with Keras, and the old one where tf_keras is installed.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Converted` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.convert("old.h5", output="new.keras")  # doctest: +SKIP
    """

def report(
    models: Models,
    *,
    output: Path,
    against: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Reported:
    """Write a page to look at in a browser: models, the curves of experiments and logs, or a whole zoo.

    The page is one .html file with everything in it, which works without a network. Of a model, it shows layers and
    tensors, histograms, masks, sparsity and the lineage; with `against`, also the differences from another model. Of
    many models it shows a table; of up to twelve, each of them besides. Of RUN/, the folder of an experiment, and of
    LOG, the log of a training (.csv, .jsonl), it shows learning curves.

    Args:
        models: files, folders (searched for models), patterns or `-`; folders of experiments, and logs
            (.csv, .jsonl).
        output: The new .html file, or - for standard output.
        against: Also show in what the model differs from this earlier one.
        force: Replace an existing output.
        progress: called with bytes done and bytes in all, for each file.

    Returns:
        one `wtool.Reported`.

    Raises:
        WtoolError: a file is missing, damaged or hostile, or the output cannot be written.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.report("trained.keras", output="report.html")  # doctest: +SKIP
    """

def index(
    models: Models,
    *,
    output: Path,
    per: str = "model",
    statistics: bool = True,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
) -> Indexed:
    """Write a table with a row for each model of a zoo, or for each tensor, for questions in SQL.

    The table is a Parquet file (.parquet, which needs pyarrow) or JSON Lines (.jsonl). Where it is there already, it is
    brought up to date: models whose files have the same size and time are not read again.

    With `no_statistics` no weights are read. With `force` the table is made anew, whatever is there.

    Args:
        models: files, folders (searched for models) or patterns.
        output: The table: a .parquet or .jsonl file, or - for lines on standard output.
        per: What has a row of its own. One of model, tensor.
        statistics: Read the weights, for hashes, zeros, means and the like.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.

    Returns:
        one `wtool.Indexed`.

    Raises:
        WtoolError: the output is there and no index, or cannot be written; with `fail_fast`, a model failed.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.index("zoo/", output="zoo.parquet")  # doctest: +SKIP
    """

def resume(
    model: Path,
    *,
    data: Any,
    epochs: int,
    output: Path | None = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    class_weight: str | Mapping[int, float] | None = None,
    seed: int | None = None,
    hold_zeros: bool | None = None,
    loss: str | None = None,
    metrics: Sequence[str] = (),
    learning_rate: float | None = None,
    new_optimizer: str | None = None,
    stroke: float | str | Mapping[str, Any] | None = None,
    prune: Sequence[float] | str | Mapping[str, Any] | None = None,
    neuroplast: Sequence[float] | str | Mapping[str, Any] | None = None,
    early_stopping: str | Mapping[str, Any] | None = None,
    reduce_lr: str | Mapping[str, Any] | None = None,
    save_best: str | Mapping[str, Any] | None = None,
    checkpoints: Path | None = None,
    save_every: int | None = None,
    log: Path | None = None,
    tensorboard: Path | None = None,
    imports: Sequence[str] = (),
    unsafe: bool = False,
    force: bool = False,
    bar: bool = False,
    report: Callable[[Epoch], None] | None = None,
) -> Resumed:
    """Train a saved model for some more epochs, as if it had never been saved.

    The optimizer goes on where it was, and pruned weights stay exactly zero. The order of samples is a function of the
    seed and the epoch. So a run that was stopped or killed goes on from where it was saved to the result that it would
    have had, when it is called again with the same words. Data may also be arrays, or whatever `fit` takes.

    Args:
        model: a `.keras` or whole-model `.h5` file, or `-` for standard input.
        data: .npz, .csv, two .npy (twice `data`), a folder, or package.module:function.
        epochs (N): How many more epochs.
        output: The new file; - for standard output.
        validation_data: As `data`; after each epoch.
        validation_split (S): Or the last share S of `data`.
        batch_size (N): Samples in a batch, where data does not come in batches.
        shuffle: Another order in each epoch.
        steps_per_epoch (N): Batches of an epoch; all by default.
        class_weight: Weights of classes in the loss: 3=5,7=.5; 1 for others.
        seed (N): Of the random numbers; a fresh one by default.
        hold_zeros: Zeros of kernels stay; by default those of pruned models.
        loss: Keras's name of a loss, instead of the model's own.
        metrics: Keras's name of a metric, instead of the model's own; repeatable.
        learning_rate (R): Of the optimizer.
        new_optimizer: Start with this one (adam, sgd, ...).
        stroke (R): After each epoch, new values for this share of the weights; or
            ratio=R,WORD=VALUE,...
        prune: After each epoch, zero for weights in [A, B]; or WORD=VALUE,...
        neuroplast: After each epoch, new values for weights in [A, B]; or WORD=VALUE,...
        early_stopping: End when a metric is no better: monitor=val_loss,patience=2.
        reduce_lr: Then reduce the learning rate: monitor=val_loss,factor=.5,patience=1.
        save_best: Save the best epoch as best.keras among the checkpoints.
        checkpoints: Save ckpt-0001.keras and so on here, numbered by epoch.
        save_every (N): Epochs between checkpoints; 1 by default.
        log: A .csv or .jsonl file that gets a line for each epoch.
        tensorboard: Logs for TensorBoard.
        imports: A module that registers custom layers; repeatable.
        unsafe: Load models also if that runs or imports code of theirs.
        force: Replace an existing output.
        bar: whether Keras's progress bar is shown.
        report: called with every epoch.

    Returns:
        one `wtool.Resumed`.

    Raises:
        WtoolError: the model failed.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.resume("pruned.keras", data="digits.npz", epochs=5, seed=1)  # doctest: +SKIP
    """

def ema(
    models: Models,
    *,
    sigma_rel: float | None = None,
    step: int | None = None,
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[MovingAverage]:
    """Give models moving averages of their weights: those that the optimizer keeps, or any length out of snapshots.

    Without `sigma_rel`, each model's weights become the averages that its optimizer keeps (`use_ema`, or a
    schedule-free optimizer). All other variables stay.

    With `sigma_rel` S, the models are snapshots of one training by the callback `PowerEMA`. One model is made of them:
    the power-function average of the weights at step T whose weighting of the steps has the standard deviation S*T.
    The coefficients of the snapshots are those with which their own weightings come nearest to it.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        sigma_rel (S): Make one average of this relative width out of snapshots; 0.05 to 0.2 are usual.
        step (T): With `sigma_rel`: the training step at which the average ends; that of the newest
            snapshot by default.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.MovingAverage` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.ema("trained.keras", output="averaged.keras")  # doctest: +SKIP

    Source: Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, arXiv:2312.02696.
    """

def pack(
    models: Models,
    *,
    compression: str = "gzip",
    dtype: str | None = None,
    quantize: str | None = None,
    drop_optimizer: bool = False,
    policy: bool = False,
    strip: bool = False,
    optimizer: str = "keep",
    output: Path | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Packed]:
    """Store models in fewer bytes, as files that stock Keras loads: arrays are deflated inside their HDF5 files.

    All values stay, to the bit, unless `dtype` or `quantize` rounds the weights. Arrays with many zeros, as pruning
    leaves them, become as small as gzip makes them; dense ones save a tenth. Other commands read packed models and pack
    what they make of them again. `compression=none` makes the arrays plain again.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        compression: Of the arrays. One of gzip, none.
        dtype: Store the weights in this number type; the model computes in its own. One of float16,
            bfloat16, float32.
        quantize: Make integer codes of kernels and embeddings, as Keras 3's `model.quantize` does. One
            of int8.
        drop_optimizer: The same as `optimizer` drop.
        policy: With `dtype`: the layers compute in this number type as well.
        strip: Take away the wrappers in which tfmot prunes layers, with their masks and thresholds.
        optimizer: What becomes of the optimizer's state. One of keep, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Packed` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.pack("pruned.keras", output="small.keras")  # doctest: +SKIP
    """

def patch(
    models: Models,
    *,
    patch: Path | None = None,
    reverse: bool = False,
    set: Sequence[str] = (),
    source: Path | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    rename: Sequence[str] = (),
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Patched]:
    """Apply a patch file to a model, or give it tensors of another model, constants and new names of layers.

    A patch file is what `wtool diff A B --patch` writes. Applied to A, the tensors become those of B, byte for byte;
    another model is refused. With `reverse`, A is made of B.

    Without a patch file, layers are renamed first, then tensors are taken from another model, then constants are set.
    The other model may have other layers around these: the tensors with equal paths and shapes are taken, and all
    others are listed. Everything else of the file stays, to the byte.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        patch: the patch file, or `-` for standard input; None for other values without one.
        reverse: Undo the patch: make the first model of the second.
        set: PATH=NUMBER or PATH=@FILE.npy: a constant, or an array, for tensors with paths like this;
            repeatable.
        source: A model from which tensors are taken.
        include: With `source`: only tensors with paths like this; repeatable.
        exclude: With `source`: no tensors with paths like this; repeatable.
        rename: OLD=NEW: another name for a layer; repeatable.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Patched` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.patch("a.keras", patch="changes.wpatch", output="b.keras")  # doctest: +SKIP
    """

def shrink(
    models: Models,
    *,
    sparsity: float | None = None,
    criterion: str = "l2",
    members: str = "all",
    scope: str = "layer",
    max_layer_sparsity: float = 1.0,
    round_to: int = 1,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    like: Path | None = None,
    verify: bool = False,
    optimizer: str = "follow",
    output: Path | None = None,
    in_place: bool = False,
    seed: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Shrunk]:
    """Take channels out of models: units of dense and recurrent layers, filters, attention heads.

    Without a sparsity, channels that do nothing are taken out, and the model computes what it did: those that nobody
    reads, as their weights are zero, and constant ones, which are added to the biases of the layers that read them.

    With a sparsity, the channels that matter least are taken out of the layer that makes them, of all that follows
    them (biases, normalisations, depthwise filters), and of the inputs of the layers that read them. Layers whose
    channels are added up, or share weights, lose the same channels. Layers keep their names, inputs and outputs of the
    model stay, and the optimizer's state goes along with the weights.

    `like=SHRUNK` takes out what was taken out of another model of the same architecture: of the initial checkpoint, for
    instance, to train the smaller model from there.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        sparsity (S): The share of the channels to take out, between 0 and 1.
        criterion: What makes a channel matter. One of l2, l1, bn-scale, fpgm, lamp, random.
        members: Weights that tell: all that have the channels, or those that make them. One of all,
            producer.
        scope: S is of each layer, or of all together. One of layer, global.
        max_layer_sparsity (M): The largest share that a layer loses.
        round_to (R): Layers keep a multiple of R channels.
        include: Only layers with paths like this (block1/*); repeatable.
        exclude: No layers with paths like this; repeatable.
        like: Take the same channels out as were taken out of this model.
        verify: Run both models with Keras; tell the largest difference, and the time of each.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        seed (N): Of the random numbers; a fresh one by default.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Shrunk` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.shrink("trained.keras", sparsity=0.5, output="half.keras")  # doctest: +SKIP

    Source: Fang, Ma, Song, Mi & Wang, "DepGraph: Towards Any Structural Pruning", arXiv:2301.12900.
    """

def evaluate(
    models: Models,
    *,
    data: Any,
    ensemble: bool = False,
    batch_size: int = 32,
    loss: str | None = None,
    metrics: Sequence[str] = (),
    imports: Sequence[str] = (),
    unsafe: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    report: Callable[[Any], None] | None = None,
    progress: Progress | None = None,
) -> list[Evaluated]:
    """Evaluate models: the loss and the metrics that they were compiled with, or others.

    Of a `.npz` file, the data is the test part, if the file has one. With `ensemble`, the last result is that of the
    average of the models' predictions; the name of its model is `ensemble`.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        data: .npz, .csv, two .npy (twice `data`), a folder, or package.module:function.
        ensemble: Also the average of the models' predictions.
        batch_size (N): Samples in a batch, where data does not come in batches.
        loss: Keras's name of a loss, instead of the model's own.
        metrics: Keras's name of a metric, instead of the model's own; repeatable.
        imports: A module that registers custom layers; repeatable.
        unsafe: Load models also if that runs or imports code of theirs.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        report: called with the result of each model, in the order of the models.
        progress: called with thousandths of models that are done, and of all, where data tells how many
            batches it has.

    Returns:
        one `wtool.Evaluated` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.evaluate(["a.keras", "b.keras"], data="digits.npz", ensemble=True)  # doctest: +SKIP
    """

def recalibrate(
    models: Models,
    *,
    data: Any,
    exact: bool = False,
    batches: int | None = None,
    batch_size: int = 32,
    frozen: bool = False,
    output: Path | None = None,
    in_place: bool = False,
    imports: Sequence[str] = (),
    unsafe: bool = False,
    dry_run: bool = False,
    force: bool = False,
    fail_fast: bool = False,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
) -> list[Recalibrated]:
    """Set the moving statistics of batch normalisation to those of data; nothing else of the models changes.

    An average or a merge of models has statistics that fit none of its activations, and may predict badly until they
    are taken anew. Targets in the data are not looked at, and dropout is off. The statistics of a layer are mean and
    biased variance of all its inputs, added up in float64. By default one pass does: a layer normalises each batch by
    the statistics of all its inputs so far, which is exact for layers that are behind no other one. With `exact`, every
    layer sees inputs that were normalised by the final statistics of the layers before it.

    Frozen layers, and those that always run in inference mode, keep their statistics, which the training fitted all
    other weights to; `frozen` sets them too. The output is `<stem>-recalibrate<ext>` beside each model, unless `output`
    says otherwise. Of a `.npz` file, the data is the part for training.

    Args:
        models: files, folders (searched for models), patterns, or `-` for standard input.
        data: .npz, .npy, .csv, a folder, or package.module:function; targets in it do not matter.
        exact: Exact for layers behind others too: a pass over the data for each depth.
        batches (N): Use N batches of the data; all by default.
        batch_size (N): Samples in a batch, where data does not come in batches.
        frozen: Also layers that are frozen, or run in inference mode in training.
        output: A file, a folder for many models (pruned/), or - for standard output.
        in_place: The model itself is the output.
        imports: A module that registers custom layers; repeatable.
        unsafe: Load models also if that runs or imports code of theirs.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        fail_fast: Stop at the first model that fails.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.

    Returns:
        one `wtool.Recalibrated` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.recalibrate("average.keras", data="train.npz", exact=True)  # doctest: +SKIP

    Source: `torch.optim.swa_utils.update_bn`, whose averages of batch means and batch variances are pooled here.
    """

def lottery(
    model: Path,
    *,
    data: Any,
    out: Path,
    epochs: int,
    sparsity: float = 0.8,
    rounds: int = 1,
    schedule: str = "geometric",
    criterion: str = "large-final",
    scope: str | None = None,
    budget: str | None = None,
    last_layer_scale: float = 0.5,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    arms: Sequence[str] = (),
    arms_from: Path | None = None,
    same_sign: bool = True,
    rewind_to: int = 0,
    epochs_of_tickets: int | None = None,
    trials: int = 1,
    dense_from: Path | None = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    patience: int | None = None,
    loss: str | None = None,
    metrics: Sequence[str] = (),
    new_optimizer: str | None = None,
    seed: int | None = None,
    keep: str = "all",
    imports: Sequence[str] = (),
    unsafe: bool = False,
    progress: Progress | None = None,
    report: Callable[[Trained], None] | None = None,
    watch: Callable[[Line], None] | None = None,
) -> Lottery:
    """Do the lottery-ticket experiment: train a model, prune it, give it its initial weights, and train that.

    Called again with the same words, an experiment that was stopped or killed goes on at the epoch where it was, to the
    result that it would have had; data that is not named begins the training that was stopped anew. The folder `out` is
    made if it is missing, and holds checkpoints, `metrics.jsonl` and `experiment.json`.

    Args:
        model: the initial model: a `.keras` or whole-model `.h5` file.
        data: .npz, .csv, two .npy (twice `data`), a folder, or package.module:function.
        out: Folder of the experiment.
        epochs (N): Of each training.
        sparsity (S): Of kernels, after the last round.
        rounds (R): Of pruning; 1 is one-shot.
        schedule: Each round prunes the same share of what is left (geometric) or of all (linear), or
            the first ones most. One of geometric, linear, polynomial.
        criterion: What makes a weight matter. One of large-final, large-init-large-final, magnitude-
            increase, movement, large-final-same-sign, large-init, random, lf, lilf, mi, mov, lfss, li.
        scope: S of each tensor (the default), or of all together, as with `budget`. One of tensor,
            global.
        budget: How the sparsity is spread over tensors. One of uniform, uniform+, erk, lamp, global.
        last_layer_scale (F): The output layer's kernel is pruned to S*F.
        include: Only tensors with paths like this (dense*/kernel); repeatable.
        exclude: No tensors with paths like this; repeatable.
        arms: What tickets start from, and the words in which the arm differs (randomize,same_sign=no);
            repeatable; rewind if there is no other.
        arms_from: A file with further arms, one on each line.
        same_sign: Keep the sign of each initial value.
        rewind_to (K): Tickets begin at the end of this epoch of the dense network.
        epochs_of_tickets (N): Of each training of a ticket, instead of as many as the dense network has
            left; 0 measures it untrained.
        trials (N): Each with new initial weights.
        dense_from: Take the dense training over from this experiment, of the same model, data and seed.
        validation_data: As `data`; after each epoch.
        validation_split (S): Or the last share S of `data`.
        batch_size (N): Samples in a batch, where data does not come in batches.
        shuffle: Another order in each epoch.
        patience (N): A training ends after so many epochs without a better validation loss.
        loss: Keras's name of a loss, instead of the model's own.
        metrics: Keras's name of a metric, instead of the model's own; repeatable.
        new_optimizer: Start with this one (adam, sgd, ...).
        seed (N): Of the random numbers; a fresh one by default.
        keep: Which checkpoints stay. One of all, tickets, last.
        imports: A module that registers custom layers; repeatable.
        unsafe: Load models also if that runs or imports code of theirs.
        progress: called with epochs done and epochs in all.
        report: called with every training that is over.
        watch: called with every epoch of a training, before `progress`.

    Returns:
        one `wtool.Lottery`.

    Raises:
        WtoolError: the model failed.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.lottery("init.keras", data="digits.npz", out="run", epochs=20, sparsity=0.8)  # doctest: +SKIP

    Source: Frankle & Carbin, arXiv:1803.03635; Frankle, Dziugaite, Roy & Carbin, arXiv:1912.05671 (late rewinding);
    Renda, Frankle & Carbin, arXiv:2003.02389 (learning-rate rewinding: `none`).
    """

def soup(
    models: Models,
    *,
    data: Any,
    greedy: bool = False,
    uniform: bool = False,
    metric: str | None = None,
    mode: str | None = None,
    rounds: int = 1,
    recalibrate: Any = None,
    doctor: bool = False,
    log: Path | None = None,
    order: str | None = None,
    optimizer: str = "follow",
    output: Path | None = None,
    batch_size: int = 32,
    loss: str | None = None,
    imports: Sequence[str] = (),
    unsafe: bool = False,
    dry_run: bool = False,
    force: bool = False,
    report: Callable[[Any], None] | None = None,
    diagnosed: Callable[[Any], None] | None = None,
) -> Souped:
    """Average fine-tuned models, and choose which of them by their scores on held-out data.

    A greedy soup begins with the model that has the best score alone. The others are tried from the best to the worst:
    a model goes in if the mean of the soup and the model has a strictly better score than the soup. The mean is
    computed anew from the files each time, in float64, and rounded once. A uniform soup is the mean of all models.

    The held-out data is neither what the models were trained on nor what the soup will be judged by. Of a `.npz` file,
    it is x_val and y_val, or x and y.

    With `log`, each score is a line of a file, and the same command goes on from there. The output is `soup` with the
    models' extension, in the current folder, unless `output` says otherwise; its configuration and its optimizer's
    class are those of the last model in the soup.

    Args:
        models: files, folders (searched for models), or patterns: whole models of one architecture.
        data: .npz, .csv, two .npy (twice `data`), a folder, or package.module:function.
        greedy: Models go in one by one, if the score gets better (the default).
        uniform: All models go in.
        metric: The score: loss or a metric; the model's first metric by default, else its loss.
        mode: Whether a low or a high score is better; by the metric's name by default. One of min, max.
        rounds (N): How often models that did not go in are tried again.
        recalibrate: Set the statistics of batch normalisation of every mean to those of this data,
            before it is scored.
        doctor: Look first whether these models can be averaged, and say what speaks against it.
        log: A .jsonl file that gets a line for each score.
        order: Which of equals comes first: by path (the default), as given, or by time. One of natural,
            given, mtime.
        optimizer: What becomes of the optimizer's state. One of keep, follow, reset, drop.
        output: The new file; - for standard output.
        batch_size (N): Samples in a batch, where data does not come in batches.
        loss: Keras's name of a loss, instead of the model's own.
        imports: A module that registers custom layers; repeatable.
        unsafe: Load models also if that runs or imports code of theirs.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        report: called with every score, a `Tasted`.
        diagnosed: called with what `doctor` found, before anything is scored.

    Returns:
        one `wtool.Souped`.

    Raises:
        WtoolError: a model is missing or damaged, models do not match, no score is a number, or the output exists.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.soup(["a.keras", "b.keras"], data="val.npz", output="soup.keras")  # doctest: +SKIP

    Source: Wortsman et al., Model soups, arXiv:2203.05482.
    """

def run_recipe(
    recipe: Path | Sequence[Any] | Mapping[str, Any],
    *,
    dry_run: bool = False,
    force: bool = False,
    jobs: int = 1,
    fail_fast: bool = False,
    cluster: str | None = None,
    shard: str | None = None,
    progress: Progress | None = None,
    report: Callable[[Any], None] | None = None,
    collect: bool = True,
    models: Models | None = None,
    output: Path | None = None,
) -> list[RecipeRun]:
    """Do the operations of a recipe, each to what the one before makes, in as few passes as possible.

    A recipe is a list of operations with their options, in YAML: those of the command line, with its words and values.
    The recipe is checked whole before anything is done. The result has the bytes that the commands make one by one,
    with pipes between them.

    The models are put through the recipe one by one. Without `output`, a result is called `<stem>-<recipe><ext>` and
    lies beside its model. A recipe that names all of its inputs takes no models, and makes `<recipe><ext>` in the
    current folder.

    Args:
        recipe: path of a recipe, or what one says: a list of steps, or a dictionary with `steps` and
            `inputs`.
        dry_run: Say what would be done, in a table; write nothing.
        force: Replace an existing output.
        jobs: Models at a time.
        fail_fast: Stop at the first model that fails.
        cluster: Work on a Dask cluster: tcp://HOST:PORT, tls://..., or local:8 for one here.
        shard: The I-th of N parts of the models alone, for many jobs.
        progress: called with bytes done and bytes in all.
        report: called with the result of each model, in the order of the models.
        collect: whether the results are returned, and not only reported.
        models: files, folders (searched for models), patterns, or `-` for standard input; None for a
            recipe without.
        output: A file, a folder for many models (pruned/), or - for standard output.

    Returns:
        one `wtool.RecipeRun` for each model.

    Raises:
        WtoolError: the model failed; `wtool.SomeFailed` if several were given.
        Usage: arguments that are wrong or do not go together, or patterns that match nothing.
        TypeError: arguments that do not exist.

    Example:
        >>> wtool.run_recipe("thin.yaml", models="trained.keras", output="thin.keras")  # doctest: +SKIP
    """

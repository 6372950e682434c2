"""Options and result of `wtool.evaluate`. This module imports neither Keras nor NumPy, so that `--help` is instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wtool.option import Checked, argument, like, option
from wtool.run.options import Execution, check_executor
from wtool.training.resume_options import Resume
from wtool.values import dataclass
from wtool.words import Progress


@dataclass(frozen=True, kw_only=True)
class Evaluate(Checked):
    """Evaluate models: the loss and the metrics that they were compiled with, or others.

    Of a `.npz` file, the data is the test part, if the file has one. With `ensemble`, the last result is that of the
    average of the models' predictions; the name of its model is `ensemble`.

    Examples:
        >>> wtool.evaluate(["a.keras", "b.keras"], data="digits.npz", ensemble=True)  # doctest: +SKIP
    """

    data: Any = like(Resume, "data")
    ensemble: bool = option(False, "Also the average of the models' predictions.")
    batch_size: int = like(Resume, "batch_size")
    loss: str | None = like(Resume, "loss")
    metrics: Sequence[str] = like(Resume, "metrics")
    imports: Sequence[str] = like(Resume, "imports")
    unsafe: bool = like(Resume, "unsafe")
    cluster: str | None = like(Execution, "cluster")
    shard: str | None = like(Execution, "shard")
    report: Callable[[Any], None] | None = argument(
        None, "called with the result of each model, in the order of the models."
    )
    progress: Progress | None = argument(
        None, "called with thousandths of models that are done, and of all, where data tells how many batches it has."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_executor(1, self.cluster)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Loss and metrics of a model.

    Attributes:
        model: path of the model; `ensemble` for the average of all models' predictions.
        metrics: name -> value, the loss first.
    """

    model: str
    metrics: dict[str, float]

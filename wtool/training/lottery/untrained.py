"""Loss and metrics of a ticket that is not trained: what its mask alone has learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.errors import WtoolError
from wtool.io.addresses import without_query
from wtool.training.data import reading
from wtool.training.evaluate import score
from wtool.training.fitting.compiling import Compilation, compile_model
from wtool.training.loading.load import import_all, load


def measure(model: str, how: Mapping[str, Any]) -> dict[str, float]:
    """Returns loss and metrics on the data for training, and under names with `val_` on those for validation.

    Args:
        model: path of the ticket.
        how: the data, and further options of `resume`.

    Raises:
        WtoolError: the model cannot be loaded, or the data does not fit it.

    Source: Zhou, Lan, Liu & Yosinski, arXiv:1905.01067, section 5 (supermasks).
    """
    import_all(how["imports"])
    try:
        loaded = load(model, how["unsafe"])
        wanted = Compilation(how.get("loss"), tuple(how.get("metrics", ())))
        compile_model(loaded.model, wanted, trains=False, why=loaded.uncompiled)
        size = how["batch_size"]
        data = reading.read_data(how["data"], loaded.model, "train", size)
        others = how["validation_data"], how["validation_split"]
        data, validation = reading.with_validation(data, how["data"], *others, loaded.model, size)
        found = score(loaded.model, data, size)
        if validation is not None:
            found |= {f"val_{name}": value for name, value in score(loaded.model, validation, size).items()}
    except WtoolError as error:
        raise error.about(without_query(model)) from error.__cause__
    return found

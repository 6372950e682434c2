"""A model that is composed anew in a format of its own choice: what it holds, and where every array comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wtool.checkpoint.model import Slot, Tensor
from wtool.checkpoint.structure import Fresh


@dataclass(frozen=True, slots=True, eq=False)
class Composition:
    """A model that is to be written.

    Attributes:
        format: of the result, as in `Checkpoint.format`; `unzipped` for the folder of an unzipped model.
        config: the architecture as `config.json` has it; None for weights alone.
        keras_version: of the Keras whose format the result has.
        variables: path of each variable -> what fills it: a tensor of the base, whose bytes are taken, or new values.
        slots: what the optimizer keeps -> what fills it, in the order of the file; empty where nothing is kept.
        training: how the model was compiled, as `training_config` of an `.h5` has it; None where it was not.
        assets: name of a file in the base (`assets/...`) -> its name in the result.
        shard_size: the most bytes of a shard; None where the result has no shards.
    """

    format: str
    config: dict[str, Any] | None
    keras_version: str | None
    variables: Mapping[str, Tensor | Fresh]
    slots: Mapping[Slot, Tensor | Fresh] = field(default_factory=dict)
    training: dict[str, Any] | None = None
    assets: Mapping[str, str] = field(default_factory=dict)
    shard_size: int | None = None

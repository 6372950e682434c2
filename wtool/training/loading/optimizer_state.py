"""The state of optimizers, where Keras 3 does not restore it from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.optimizer.lost import lost_optimizer, saved_step


def restore(model: Any, checkpoint: Checkpoint, variables: Mapping[str, Any]) -> None:
    """Give a model from an `.h5` file its optimizer: the one that Keras 3 builds there knows no layer's variables.

    Files of Keras 3 have its variables in its order; those of Keras 2 have them by kind (all momentums, then all
    velocities), and no learning rate, which is in the configuration.

    Args:
        model: compiled.
        checkpoint: its file.
        variables: path of each weight -> the model's variable.
    """
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    optimizer.build(model.trainable_variables)
    saved, own = checkpoint.slots, optimizer.variables
    if [tensor.shape for tensor in saved] == [tuple(variable.shape) for variable in own]:
        _assign(checkpoint, dict(enumerate(own)), dict(enumerate(saved)))
    else:
        named = {variable.name: variable for variable in own if variable.name != "learning_rate"}
        called = {_name(tensor, variables): tensor for tensor in saved}
        shapes = {name: tuple(variable.shape) for name, variable in named.items()}
        if len(called) == len(saved) and shapes == {name: tensor.shape for name, tensor in called.items()}:
            _assign(checkpoint, named, called)
    model.optimizer = optimizer


def _name(tensor: Tensor, variables: Mapping[str, Any]) -> str:
    """What Keras 3 calls the variable that a slot is; something that it calls none, if that is not known."""
    if tensor.slot is None or (tensor.slot.weight is not None and tensor.slot.weight not in variables):
        return tensor.path
    if tensor.slot.weight is None:
        return tensor.slot.name
    return f"{variables[tensor.slot.weight].path.replace('/', '_')}_{tensor.slot.name}"


def _assign(checkpoint: Checkpoint, variables: Mapping[Any, Any], tensors: Mapping[Any, Tensor]) -> None:
    for name, variable in variables.items():
        variable.assign(checkpoint.read(tensors[name]))


def inner(model: Any) -> Any:
    """A model's optimizer, without the scaling of the loss around it."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def lost_state(model: Any, checkpoint: Checkpoint) -> str:
    """What is wrong if the optimizer is not the file's: Keras only warns where it leaves out state or settings."""
    lost = lost_optimizer(checkpoint)
    saved = None if getattr(model, "optimizer", None) is None else saved_step(checkpoint)
    if lost or saved is None:
        return lost
    saved_as = checkpoint.contents.optimizer
    decay = saved_as.config.get("decay") if saved_as is not None else None
    if isinstance(decay, float) and decay:
        return f"Keras 3 does not know the decay of its optimizer's learning rate ({decay:g})"
    taken = int(inner(model)._iterations)  # not divided by accumulated steps
    if saved == taken:
        return ""
    return f"Keras does not restore its optimizer, which is at step {saved:,} in the file and at {taken:,} when loaded"

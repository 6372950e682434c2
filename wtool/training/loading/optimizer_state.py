"""The state of optimizers, where Keras 3 does not restore it from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtool.checkpoint.model import Checkpoint, Tensor
from wtool.checkpoint.optimizer.lost import lost_optimizer, lost_slots, saved_step
from wtool.values import dataclass

STEPLESS = "the file has a state of its optimizer without a step, which Keras 3 cannot go on from: it begins anew"
"""A note on a state that is not restored."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The outcome for the optimizer's state of loading a model.

    Attributes:
        lost: why the state is not the file's; empty if it is, or if the file has none.
        notes: worth knowing, one line each.
    """

    lost: str = ""
    notes: tuple[str, ...] = ()


def restored(model: Any, checkpoint: Checkpoint, variables: Mapping[str, Any]) -> Restored:
    """Gives a loaded model the state of its optimizer where Keras did not, and tells what is lost.

    Args:
        model: the model, compiled if Keras could compile it.
        checkpoint: its file.
        variables: path of each weight -> the model's variable.
    """
    if getattr(model, "optimizer", None) is None:
        return Restored(lost_state(model, checkpoint))
    if not checkpoint.slots and any(tensor.trainable for tensor in checkpoint.weights):
        return Restored(notes=("the file has no state of its optimizer, which begins anew",))
    if checkpoint.format == "h5":
        is_restored = _restore(model, checkpoint, variables)
        lost = lost_state(model, checkpoint)
        # Keras 2.0 stores no step for some optimizers, so that no step is missing where their state is.
        begins_anew = not is_restored and not lost and saved_step(checkpoint) is None
        return Restored(lost, (STEPLESS,) if begins_anew else ())
    lost = lost_state(model, checkpoint)
    if lost and _restore(model, checkpoint, variables) and not lost_state(model, checkpoint):
        told = "Keras does not restore its optimizer, which has another list of weights in the file; wtool restored it"
        return Restored(notes=(told,))
    return Restored(lost)


def _restore(model: Any, checkpoint: Checkpoint, variables: Mapping[str, Any]) -> bool:
    """Gives a model a new optimizer with the file's state, and returns whether the file has all of that state.

    The optimizer that Keras 3 builds for an `.h5` file knows no layer's variables. Files of Keras 3 have its variables
    in its order; those of Keras 2 have them by kind (all momentums, then all velocities), and no learning rate, which
    is in the configuration. Weights that were frozen later still have slots in the file.
    """
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    optimizer.build(model.trainable_variables)
    saved, own = checkpoint.slots, optimizer.variables
    model.optimizer = optimizer
    if [tensor.shape for tensor in saved] == [tuple(variable.shape) for variable in own]:
        _assign(checkpoint, dict(enumerate(own)), dict(enumerate(saved)))
        return True
    named = {variable.name: variable for variable in own if variable.name != "learning_rate"}
    called = {_name(tensor, variables): tensor for tensor in saved}
    shapes = {name: called[name].shape for name in named if name in called}
    if len(called) == len(saved) and shapes == {name: tuple(variable.shape) for name, variable in named.items()}:
        _assign(checkpoint, named, called)
        return True
    return False


def _name(tensor: Tensor, variables: Mapping[str, Any]) -> str:
    """Returns Keras 3's name of the variable that a slot is; a name that no variable has, if that is not known."""
    if tensor.slot is None or (tensor.slot.weight is not None and tensor.slot.weight not in variables):
        return tensor.path
    if tensor.slot.weight is None:
        return tensor.slot.name
    return f"{variables[tensor.slot.weight].path.replace('/', '_')}_{tensor.slot.name}"


def _assign(checkpoint: Checkpoint, variables: Mapping[Any, Any], tensors: Mapping[Any, Tensor]) -> None:
    for name, variable in variables.items():
        variable.assign(checkpoint.read(tensors[name]))


def inner(model: Any) -> Any:
    """Returns a model's optimizer, without the scaling of the loss around it."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def lost_state(model: Any, checkpoint: Checkpoint) -> str:
    """Returns what is wrong if the optimizer is not the file's; Keras itself only warns where it leaves out state."""
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


def unsaved_state(model: Any, saved: Checkpoint) -> tuple[str, ...]:
    """Returns notes on what a saved file does not have of the model's optimizer, as wtool reads the file again.

    Args:
        model: the live model.
        saved: its file.
    """
    if getattr(model, "optimizer", None) is None:
        return ()
    taken, stored = int(inner(model)._iterations), saved_step(saved)
    if taken and (stored != taken or lost_slots(saved)):
        return (
            f"Keras does not save the state of its optimizer, which is at step {taken:,}; another resume begins anew",
        )
    return ()

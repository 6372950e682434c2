"""Linked neurons: layers whose output is an activation of x and of -x, so that no neuron is ever without a gradient.

Source: "Solving internal covariate shift in deep learning with linked neurons" (2017), and its package linked_neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

PACKAGE = "wtool"


def arctan(x: Any) -> Any:
    """Returns the inverse tangent of x, as an activation; files call it `wtool>arctan`."""
    return ops.arctan(x)


keras.saving.register_keras_serializable(PACKAGE)(arctan)


def activation_of(given: Any) -> Any:
    """Returns the activation that is given by name, as a function, or serialised: one of Keras, or `arctan`.

    Raises:
        ValueError: there is none of this name.
    """
    return arctan if given in ("arctan", f"{PACKAGE}>arctan") else keras.activations.get(given)


@keras.saving.register_keras_serializable(PACKAGE)
class Linked(keras.layers.Layer):
    """A layer that computes concatenate(act(x), act(-x)).

    Args:
        activation: a name, a function, or a serialised one.
        axis: on which the halves are put together: -1, or 1 for `channels_first`.

    Input shape: any, with the size of `axis` known. Output shape: the same, with twice that size.
    """

    def __init__(self, activation: Any, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activation_of(activation)
        self.axis = axis
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Returns both halves, concatenated."""
        return linked(inputs, self.activation, self.activation, self.axis)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the input's shape with twice the size along the axis."""
        return doubled(input_shape, self.axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation, "axis": self.axis}


class _Named(Linked):
    """Base class of linked activations that have a name of their own."""

    function: Callable[[Any], Any]

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(type(self).function, axis, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        del config["activation"]
        return config


@keras.saving.register_keras_serializable(PACKAGE)
class LKReLU(_Named):
    """A layer that computes concatenate(relu(x), relu(-x)), known as CReLU too (Shang et al., arXiv:1603.05201)."""

    function = staticmethod(keras.activations.relu)


@keras.saving.register_keras_serializable(PACKAGE)
class LKSELU(_Named):
    """A layer that computes concatenate(selu(x), selu(-x))."""

    function = staticmethod(keras.activations.selu)


@keras.saving.register_keras_serializable(PACKAGE)
class LKSwish(_Named):
    """A layer that computes concatenate(x * sigmoid(x), -x * sigmoid(-x))."""

    function = staticmethod(keras.activations.silu)


@keras.saving.register_keras_serializable(PACKAGE)
class LKPReLU(keras.layers.Layer):
    """concatenate(prelu(x), prelu(-x)), each half with trained slopes of its own: max(0, x) + alpha * min(0, x).

    Args:
        alpha_initializer, alpha_regularizer, alpha_constraint: as of `keras.layers.PReLU`, for both halves.
        shared_axes: axes along which a slope is shared, as of `keras.layers.PReLU`.
        axis: on which the halves are put together: -1, or 1 for `channels_first`.

    Variables: `alpha` and `linked_alpha`, each of the shape of the input without batch, and 1 along shared axes.

    The original package's slopes are not tracked: neither trained nor saved.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        axis: int = -1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = keras.initializers.get(alpha_initializer)
        self.alpha_regularizer = keras.regularizers.get(alpha_regularizer)
        self.alpha_constraint = keras.constraints.get(alpha_constraint)
        self.shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes and list(shared_axes)
        self.axis = axis
        self.supports_masking = True

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the slopes, one array for each half."""
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            shape[axis - 1] = 1
        self.alpha = self._slopes("alpha", shape)
        self.linked_alpha = self._slopes("linked_alpha", shape)
        self.built = True

    def _slopes(self, name: str, shape: Sequence[int | None]) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, inputs: Any) -> Any:
        """Returns both halves, concatenated."""
        return linked(inputs, lambda x: _prelu(x, self.alpha), lambda x: _prelu(x, self.linked_alpha), self.axis)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Returns the input's shape with twice the size along the axis."""
        return doubled(input_shape, self.axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "alpha_initializer": keras.initializers.serialize(self.alpha_initializer),
            "alpha_regularizer": keras.regularizers.serialize(self.alpha_regularizer),
            "alpha_constraint": keras.constraints.serialize(self.alpha_constraint),
            "shared_axes": self.shared_axes,
            "axis": self.axis,
        }


def _prelu(x: Any, alpha: Any) -> Any:
    return ops.relu(x) - alpha * ops.relu(-x)


def linked(x: Any, activation: Callable[[Any], Any], opposite: Callable[[Any], Any], axis: int) -> Any:
    """Returns concatenate(activation(x), opposite(-x)) along an axis."""
    return ops.concatenate([activation(x), opposite(-x)], axis=axis)


def doubled(shape: Sequence[int | None], axis: int) -> tuple[int | None, ...]:
    """Returns a shape with twice the size along an axis."""
    new = list(shape)
    size = new[axis]
    new[axis] = None if size is None else 2 * size
    return tuple(new)

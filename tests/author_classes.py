"""The custom classes of the models in the collection, as their author would write them for Keras 3."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


@keras.saving.register_keras_serializable("ZooPkg")
class ScaleShift(layers.Layer):  # type: ignore[misc]
    """x -> a Dense layer of alpha x, to which a Dense layer with ReLU and one without add their outputs."""

    def __init__(self, units: int = 4, **settings: Any) -> None:
        super().__init__(**settings)
        self.units = units
        self.inner = layers.Dense(units, name="inner_dense")
        self.blocks = [layers.Dense(units, activation="relu"), layers.Dense(units)]

    def build(self, shape: Any) -> None:
        self.alpha = self.add_weight(shape=(shape[-1],), initializer="ones", name="alpha")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")
        self.inner.build(shape)
        for block in self.blocks:
            block.build((*shape[:-1], self.units))

    def call(self, x: Any) -> Any:
        x = self.inner(x * self.alpha)
        for block in self.blocks:
            x = x + block(x)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("ZooPkg")
class OwnStore(layers.Layer):  # type: ignore[misc]
    """x -> a x + b; stores its variables under keys of its own, which an `.h5` of Keras 2 does not tell."""

    def build(self, shape: Any) -> None:
        self.a = self.add_weight(shape=(shape[-1],), name="a")
        self.b = self.add_weight(shape=(shape[-1],), name="b")

    def call(self, x: Any) -> Any:
        return x * self.a + self.b

    def save_own_variables(self, store: Any) -> None:
        store["my_a"], store["my_b"] = self.a.numpy(), self.b.numpy()

    def load_own_variables(self, store: Any) -> None:
        own = "my_a" in store.keys()  # noqa: SIM118 - Keras's store is no mapping
        self.a.assign(store["my_a" if own else "0"])
        self.b.assign(store["my_b" if own else "1"])


@keras.saving.register_keras_serializable("ZooPkg")
class SubModel(keras.Model):  # type: ignore[misc]
    """The sum of two Dense layers of the same input, in a subclassed model."""

    def __init__(self, width: int = 6, **settings: Any) -> None:
        super().__init__(**settings)
        self.width = width
        self.d1 = layers.Dense(width, activation="relu")
        self.scaled = ScaleShift(4)
        self.heads = [layers.Dense(3), layers.Dense(3)]
        self.out = layers.Dense(2)

    def call(self, x: Any) -> Any:
        x = self.scaled(self.d1(x))
        return self.out(self.heads[0](x) + self.heads[1](x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}

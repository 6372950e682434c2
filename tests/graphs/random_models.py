"""Random Keras models of many kinds of layers. By hand: `python -m tests.graphs.random_models COUNT SEED`."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import keras

from wtool import layers as own

L = keras.layers
LARGE = 400
"""Numbers of a tensor beyond which it is made no larger."""


class Random:
    """Draws a model, layer by layer."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def model(self) -> Any:
        """Returns a model of one input, with its first weights."""
        shape = self._one_of((4,), (4, 3), (4, 3), (4, 4, 3), (4, 4, 3), (3, 3, 3, 2), None)
        given = keras.Input((5,), dtype="int32") if shape is None else keras.Input(shape)
        x = given
        if shape is None:
            x = L.Embedding(6, self._few(), mask_zero=self._perhaps())(given)
        for _ in range(self.random.randint(3, 8)):
            x = self.step(x)
        return keras.Model(given, L.Dense(2)(L.Flatten()(x) if self._perhaps() and len(x.shape) > 2 else x))

    def step(self, x: Any) -> Any:
        """Returns the output of one more layer, or of several."""
        rank = len(x.shape)
        if rank > 5:
            return L.Flatten()(x)
        if prod(x.shape[1:]) > LARGE:
            return self._dense(self._pool_whole(x) if rank > 2 else x, 3)
        return self._one_of(*ANY_RANK, *OF_RANK[rank])(self, x)

    def _one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def _perhaps(self) -> bool:
        return self.random.random() < 0.5

    def _few(self) -> int:
        return self.random.randint(2, 6)

    def _like_dense(self) -> dict[str, Any]:
        """Settings that layers with a kernel share."""
        names = (None, None, "relu", "tanh", "gelu", "softplus", "relu6", "elu", "silu", "sigmoid", "softmax")
        return {"activation": self._one_of(*names), "use_bias": self.random.random() < 0.7}

    def _dense(self, x: Any, units: int | None = None) -> Any:
        return L.Dense(units or self._few(), **self._like_dense())(x)

    def _in_space(self, name: str, x: Any) -> Any:
        return getattr(L, name.replace("*", f"{len(x.shape) - 2}D"))

    def _window(self, x: Any) -> int:
        return 1 if min(x.shape[1:-1]) < 2 else self.random.randint(1, 2)

    def each(self, x: Any) -> Any:
        """A layer that works on each value, or on all of them together, and has no weights."""
        return self._one_of(
            L.Activation(self._one_of("relu", "tanh", "selu")),
            L.ReLU(max_value=self._one_of(None, 1.0), negative_slope=0.2, threshold=self._one_of(0.0, 0.1)),
            L.LeakyReLU(0.2),
            L.ELU(0.5),
            L.Dropout(0.2),
            L.Rescaling(0.5, self._one_of(0.0, 0.1)),
            L.Softmax(axis=self._one_of(-1, 1)),
        )(x)

    def normalized(self, x: Any) -> Any:
        axis = self._one_of(-1, -1, self.random.randrange(1, len(x.shape)))
        batch = L.BatchNormalization(axis=axis, scale=self._perhaps(), center=self._perhaps())
        return self._one_of(batch, batch, L.LayerNormalization(axis=axis))(x)

    def slopes(self, x: Any) -> Any:
        return L.PReLU(shared_axes=self._one_of(None, [1], list(range(1, len(x.shape) - 1)) or None))(x)

    def merged(self, x: Any) -> Any:
        """A tensor with another one of its shape, or with fewer positions."""
        y = self._dense(x, self._one_of(x.shape[-1], x.shape[-1], 1))
        if len(x.shape) > 2 and self.random.random() < 0.3:
            y = self._in_space("GlobalMaxPooling*", x)(keepdims=True)(y)
        merging = self._one_of(L.Add, L.Add, L.Multiply, L.Maximum, L.Average, L.Minimum, L.Subtract)
        return merging()(self._one_of([x, y], [y, x]))

    def concatenated(self, x: Any) -> Any:
        """Tensors behind each other along the channels, sometimes added to another one, or along another axis."""
        if len(x.shape) > 2 and self.random.random() < 0.4:
            axis = self.random.randrange(1, len(x.shape) - 1)
            return L.Concatenate(axis=axis)([x, self._dense(x, x.shape[-1])])
        y = L.Concatenate()(self._one_of([x, self._dense(x)], [self._dense(x), x], [self._dense(x), self._dense(x)]))
        return L.Add()([y, self._dense(x, y.shape[-1])]) if self._perhaps() else y

    def shared(self, x: Any) -> Any:
        """A layer that is called twice, sometimes with an input of another rank."""
        dense = L.Dense(x.shape[-1], **self._like_dense())
        y = dense(x)
        if len(x.shape) == 3 and self._perhaps():
            return L.Add()([L.GlobalMaxPooling1D()(y), dense(L.GlobalAveragePooling1D()(L.Dense(x.shape[-1])(y)))])
        y = dense(L.Activation("tanh")(y) if self._perhaps() else L.Dense(x.shape[-1])(y))
        return y if self._perhaps() else L.Add()([y, dense(x)])

    def nested(self, x: Any) -> Any:
        given = keras.Input(x.shape[1:])
        y = given
        for _ in range(self.random.randint(1, 3)):
            y = self.step(y)
        model = keras.Model(given, y)
        return L.Add()([model(x), model(self._dense(x, x.shape[-1]))]) if self._perhaps() else model(x)

    def einsum(self, x: Any) -> Any:
        """EinsumDense, whose bias has the last axis: Keras adds one that lacks it along the wrong axis at times."""
        a, b, sizes = self._few(), self._few(), x.shape[1:]
        equation, shape, bias = self._one_of(*{
            2: [("ab,cb->ac", a, "c"), ("ab,bcd->acd", (a, b), "d"), ("ab,dbc->acd", (a, b), "cd")],
            3: [
                ("abc,cd->abd", (sizes[0], a), self._one_of("d", "bd", None)),
                ("abc,ecd->abde", (sizes[0], a, b), self._one_of("e", "de", None)),
                ("abc,cd->ad", a, "d"),
                ("abc,bcd->abd", (sizes[0], a), self._one_of("d", "bd")),
                ("abc,bcd->ad", a, None),
            ],
            4: [("abcd,de->abce", (*sizes[:2], a), "e"), ("abcd,cde->abe", (sizes[0], a), self._one_of("be", None))],
        }[len(x.shape)])  # fmt: skip
        return L.EinsumDense(equation, shape, bias_axes=bias, activation=self._one_of(None, "relu"))(x)

    def convolved(self, x: Any) -> Any:
        padding, window = self._one_of("valid", "same"), self._window(x)
        kinds = ["Conv*", "Conv*", "Conv*Transpose"]
        if len(x.shape) < 5:
            kinds += ["SeparableConv*", "DepthwiseConv*"]
        kind = self._one_of(*kinds)
        several = {} if "wise" not in kind and "Sep" not in kind else {"depth_multiplier": self.random.randint(1, 2)}
        sizes = (window,) if "wise" in kind else (self._few(), window)
        return self._in_space(kind, x)(*sizes, padding=padding, **several, **self._like_dense())(x)

    def in_groups(self, x: Any) -> Any:
        groups = self._one_of(*(size for size in range(1, x.shape[-1] + 1) if x.shape[-1] % size == 0))
        return self._in_space("Conv*", x)(2 * groups, 1, groups=groups, **self._like_dense())(x)

    def residual(self, x: Any) -> Any:
        y = self._in_space("Conv*", x)(self._few(), 1, activation="relu")(x)
        y = self._in_space("Conv*", x)(x.shape[-1], self._window(x), padding="same", use_bias=self._perhaps())(y)
        return L.Add()([x, L.BatchNormalization()(y)])

    def moved(self, x: Any) -> Any:
        """A layer that moves values in space."""
        n = len(x.shape) - 2
        sizes = {"padding": self._one_of("valid", "same"), "strides": 1}
        choices = [
            self._in_space("MaxPooling*", x)(self._window(x), **sizes),
            self._in_space("AveragePooling*", x)(self._window(x), **sizes),
            self._in_space("UpSampling*", x)(2),
            self._in_space("ZeroPadding*", x)(1),
        ]
        if min(x.shape[1:-1]) > 1:
            choices.append(self._in_space("Cropping*", x)(((0, 1),) * n if n > 1 else (0, 1)))
        return self._one_of(*choices)(x)

    def _pool_whole(self, x: Any) -> Any:
        name = self._one_of("GlobalMaxPooling*", "GlobalAveragePooling*")
        return self._in_space(name, x)(keepdims=self.random.random() < 0.2)(x)

    def pooled_whole(self, x: Any) -> Any:
        return self._pool_whole(x)

    def flattened(self, x: Any) -> Any:
        return L.Flatten()(x)

    def permuted(self, x: Any) -> Any:
        order = list(range(1, len(x.shape)))
        self.random.shuffle(order)
        return L.Permute(order)(x)

    def reshaped(self, x: Any) -> Any:
        sizes = list(x.shape[1:])
        return L.Reshape(self._one_of((sizes[0], -1), (1, *sizes), (-1, sizes[-1])))(x)

    def spread(self, x: Any) -> Any:
        """A vector as a sequence."""
        size = x.shape[-1]
        steps = self._one_of(*(each for each in range(1, size + 1) if size % each == 0))
        return self._one_of(L.RepeatVector(2), L.Reshape((steps, size // steps)))(x)

    def recurrent(self, x: Any) -> Any:
        units, kind = self._few(), self._one_of(L.LSTM, L.GRU, L.SimpleRNN)
        sizes = {
            "return_sequences": self._perhaps(),
            "use_bias": self._perhaps(),
            "activation": self._one_of("tanh", "relu", "linear"),
        }
        if self.random.random() < 0.3:
            return L.RNN(L.GRUCell(units))(x)
        if self.random.random() < 0.3:
            _, *states = kind(units, return_state=True)(x)
            return kind(units, **sizes)(x, initial_state=states)
        if self.random.random() < 0.3:
            inner = self._one_of(L.LSTM, L.GRU)(units, return_sequences=self._perhaps())
            return L.Bidirectional(inner, merge_mode=self._one_of("concat", "sum", "ave", "mul"))(x)
        return kind(units, **sizes)(x)

    def attended(self, x: Any) -> Any:
        y = self._one_of(x, L.Dense(self._few())(x))
        layer = L.MultiHeadAttention(
            self._few(), 2, output_shape=self._one_of(None, self._few()), use_bias=self._perhaps()
        )
        made = layer(x, y)
        return L.Add()([x, made]) if made.shape == x.shape else made

    def stepwise(self, x: Any) -> Any:
        return L.TimeDistributed(self._one_of(L.Dense(self._few(), activation="relu"), L.BatchNormalization()))(x)

    def masked(self, x: Any) -> Any:
        return L.Masking()(x)

    def gated(self, x: Any) -> Any:
        """Squeeze and excitation."""
        y = L.Conv2D(self._few(), 1, activation="relu")(L.GlobalAveragePooling2D(keepdims=True)(x))
        return L.Multiply()([x, L.Conv2D(self._one_of(1, x.shape[-1]), 1, activation="sigmoid")(y)])

    def recurrent_convolution(self, x: Any) -> Any:
        return L.ConvLSTM1D(self._few(), self._window(x), return_sequences=self._perhaps())(x)

    def of_wtool(self, x: Any) -> Any:
        rotating = own.AutoRotDense(self._few(), xmin_lim=-4.0, xmax_lim=4.0, L=2.0, activation="tanh")
        return self._one_of(rotating, own.LKReLU(), own.LKPReLU())(x)

    def dense(self, x: Any) -> Any:
        return self._dense(x)


Step = Callable[[Random, Any], Any]
ANY_RANK: tuple[Step, ...] = (
    Random.dense, Random.dense, Random.each, Random.normalized, Random.slopes, Random.merged, Random.concatenated,
    Random.shared, Random.nested,
)  # fmt: skip
_SPACE: tuple[Step, ...] = (
    Random.convolved, Random.convolved, Random.residual, Random.moved, Random.pooled_whole, Random.flattened,
    Random.permuted,
)  # fmt: skip
OF_RANK: dict[int, tuple[Step, ...]] = {
    2: (Random.einsum, Random.spread, Random.of_wtool),
    3: (
        *_SPACE, Random.einsum, Random.recurrent, Random.recurrent, Random.attended, Random.stepwise, Random.masked,
        Random.in_groups, Random.reshaped,
    ),
    4: (*_SPACE, Random.einsum, Random.gated, Random.recurrent_convolution, Random.in_groups, Random.reshaped),
    5: _SPACE,
}  # fmt: skip
"""Rank of a tensor with the batch -> what may follow."""


def main(count: int, seed: int) -> None:
    """Check random models, and tell the seeds of those that fail."""
    from tests.graphs import test_random_models as checks

    for number in range(seed, seed + count):
        for check in (checks.check_dead, checks.check_sparsity, checks.check_aligned):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    check(number, Path(folder))
                except Exception as error:
                    print(number, check.__name__, type(error).__name__, str(error)[-300:], flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""Samples for Keras, in another order in each epoch."""

from __future__ import annotations

from typing import Any

from digits import Samples


def shuffled(data: Samples, size: int, seed: int) -> Any:
    """Batches of samples, as a dataset of tf.data.

    Once `keras.utils.set_random_seed` was called, `fit` takes arrays in the same order in every epoch, since each epoch
    begins the stream of TensorFlow's random numbers anew (Keras 3.15, TensorFlow 2.21). Then models at the ends of
    epochs come from the same batches, and differ less than they should. A dataset goes on with its stream.

    Args:
        data: inputs of any shape (n, ...) and classes (n,).
        size: of a batch; the samples that are left over at the end of an epoch are left out.
        seed: of the orders.
    """
    import tensorflow as tf

    samples = tf.data.Dataset.from_tensor_slices((data.x, data.y))
    return samples.shuffle(len(data.y), seed=seed, reshuffle_each_iteration=True).batch(size, drop_remainder=True)

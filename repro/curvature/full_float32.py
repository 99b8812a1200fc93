"""Curvature is measured in full float32: not on TPUs, and on GPUs without TensorFloat-32."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


@contextlib.contextmanager
def full_float32(strategy: tf.distribute.Strategy | None = None) -> Iterator[None]:
    """Refuse TPUs, and have GPUs multiply float32 as it is, as long as this lasts.

    Ampere's GPUs and later ones round float32 to 3 digits before they multiply (TensorFloat-32),
    unless they are told not to. Kernels ask for that when they execute, whenever they were traced.
    Never executed on a GPU. TensorFlow remembers which of cuDNN's algorithms it chose for a
    convolution: one of the same shapes that was trained before, in the same process, may keep it.

    Args:
      strategy: under which curvature is measured; None: the current one.

    Raises:
      ValueError: see `refuse_tpu`.
    """
    refuse_tpu(strategy)
    options = tf.config.experimental
    before = options.tensor_float_32_execution_enabled()
    options.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        options.enable_tensor_float_32_execution(before)


def refuse_tpu(strategy: tf.distribute.Strategy | None = None) -> None:
    """Raise ValueError if a strategy is a TPU's, or TensorFlow has a TPU at all.

    Outside of a strategy's scope the current strategy does not say where a model's weights are.
    """
    strategy = strategy or tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.TPUStrategy) or tf.config.list_logical_devices("TPU"):
        raise ValueError(
            "curvature is not measured where TensorFlow has a TPU, which multiplies float32 "
            "matrices in bfloat16, to 3 digits: train there, and measure with tools/measure on a "
            "machine with GPUs or CPUs"
        )

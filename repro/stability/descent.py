"""Plain gradient descent and SGD on examples in memory, as Wu, Ma, E 2018 run them."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

OLD_SHARE = 0.9  # of the moving average of minibatch losses that stops training


@dataclasses.dataclass(frozen=True)
class Phase:
    """One optimiser, until the moving average of its losses is below `stop_loss` or steps end."""

    learning_rate: float
    batch_size: int
    momentum: float
    iterations: int
    stop_loss: float

    def fitted(self, running: float) -> bool:
        """Whether a moving average of losses is below `stop_loss`, in float32 as steps compare."""
        return bool(np.float32(running) < np.float32(self.stop_loss))

    def ended(self, step: int, running: float) -> bool:
        """Whether the phase is over after so many steps with such a moving average."""
        return step >= self.iterations or self.fitted(running)


def make_steps(
    network: keras.Model,
    velocities: Sequence[tf.Variable],
    examples,
    phase: Phase,
    loss: Callable,
) -> Callable:
    """Return the compiled loop of a phase.

    `steps(orders, step, until, running)` takes steps number `step` to `until`; row e of `orders`
    [epochs, n] is the order of the e-th epoch from that of `step` on, a batch its next batch_size
    entries; where a batch is all examples it is not read. It ends early when the moving average
    falls below `stop_loss` or a loss is not finite, and returns step, average, and whether all
    losses were finite.
    """
    images, targets = tf.constant(examples.images), tf.constant(examples.targets)
    weights = [v.value for v in network.trainable_variables]
    size = phase.batch_size
    per_epoch = -(-len(examples) // size)

    number = tf.TensorSpec([], tf.int64)
    signature = [tf.TensorSpec([None, None], tf.int64), number, number, tf.TensorSpec([])]

    @tf.function(input_signature=signature)  # traced once, however many orders there are
    def steps(orders, step, until, running):
        first_epoch, finite, fitted = step // per_epoch, True, False
        while step < until and finite and not fitted:
            if size == len(examples):
                x, y = images, targets
            else:
                begin = step % per_epoch * size
                batch = orders[step // per_epoch - first_epoch, begin : begin + size]
                x, y = tf.gather(images, batch), tf.gather(targets, batch)
            with tf.GradientTape() as tape:
                value = tf.reduce_mean(loss(y, network(x, training=True)))
            gradients = tape.gradient(value, weights)
            finite = tf.math.is_finite(value)
            if finite:
                for w, v, g in zip(weights, velocities, gradients):
                    v.assign(phase.momentum * v + g)
                    w.assign_sub(phase.learning_rate * v)
                running = value if step == 0 else OLD_SHARE * running + (1 - OLD_SHARE) * value
                step += 1
            fitted = running < phase.stop_loss
        return step, running, finite

    return steps


def epoch_orders(examples: int, epochs: Sequence[int], key: Sequence[int]) -> np.ndarray:
    """Return the order of the examples in each epoch, [epochs, n]: the files' own in epoch 0."""
    return np.stack(
        [
            np.random.default_rng([*key, epoch]).permutation(examples)
            if epoch
            else np.arange(examples)
            for epoch in epochs
        ]
    )


def squared_error(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return the squared error of each example, [b], averaged over outputs."""
    return tf.reduce_mean(tf.square(outputs - targets), axis=-1)


def evaluate(network: keras.Model, examples, loss: Callable) -> dict[str, float]:
    """Return the mean loss and the accuracy over all examples, each weighing the same."""
    total, correct = 0.0, 0
    for begin in range(0, len(examples), 1000):
        x, y = (a[begin : begin + 1000] for a in (examples.images, examples.targets))
        outputs = network(x, training=False)
        total += float(tf.reduce_sum(tf.cast(loss(y, outputs), tf.float64)))
        correct += int((outputs.numpy().argmax(-1) == y.argmax(-1)).sum())
    return {"loss": total / len(examples), "accuracy": correct / len(examples)}

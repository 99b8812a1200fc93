"""Plain gradient descent and SGD on examples in memory, as Wu, Ma, E 2018 run them."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize

from repro.training.optimizers import momentum_step
from repro.training.strategy import sum_over_shares

OLD_SHARE = 0.9  # of the moving average of minibatch losses that stops training


@dataclasses.dataclass(frozen=True)
class Recipe:
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
        """Whether training is over after so many steps with such a moving average."""
        return step >= self.iterations or self.fitted(running)


def make_steps(
    network: keras.Model,
    velocities: Sequence[tf.Variable],
    examples,
    recipe: Recipe,
    loss: Callable,
    strategy: tf.distribute.Strategy,
) -> Callable:
    """Return the compiled loop of a recipe.

    `steps(orders, step, until, running)` takes steps number `step` to `until`; row e of `orders`
    [epochs, n] is the order of the e-th epoch from that of `step` on, a batch its next batch_size
    entries; where a batch is all examples it is not read. It ends early when the moving average
    falls below `stop_loss` or a loss is not finite, and returns step, average, and whether all
    losses were finite.

    Args:
      network, velocities: what steps change; made under `strategy`.
      examples: with `images` [n, ...] and `targets` [n, k].
      recipe: of which these are the steps.
      loss: targets, outputs -> losses [b].
      strategy: whose replicas share every batch, and all examples where they are one.
    """
    weights = [v.value for v in network.trainable_variables]
    size, count, dtype = recipe.batch_size, len(examples), weights[0].dtype
    per_epoch = -(-count // size)
    gathers = size < count or strategy.num_replicas_in_sync > 1
    rates = recipe.learning_rate, recipe.momentum
    # Every replica has all of them: a step is shorter than the way of a batch between devices.
    data = strategy.experimental_distribute_values_from_function(
        lambda _: (tf.constant(examples.images), tf.constant(examples.targets))
    )

    @tf.autograph.experimental.do_not_convert
    def of_share(rows, shares, images, targets):
        if gathers:
            images, targets = tf.gather(images, rows), tf.gather(targets, rows)
        with tf.GradientTape() as tape:
            losses = loss(targets, network(images, training=True))
            value = tf.reduce_mean(losses * tf.cast(shares, dtype))
        return value, *tape.gradient(value, weights)

    number = tf.TensorSpec([], tf.int64)
    signature = [tf.TensorSpec([None, None], tf.int64), number, number, tf.TensorSpec([], dtype)]

    @tf.function(input_signature=signature)  # traced once, however many orders there are
    def steps(orders, step, until, running):
        first_epoch, finite, fitted = step // per_epoch, True, False
        while step < until and finite and not fitted:
            epoch, begin = step // per_epoch - first_epoch, step % per_epoch * size
            if size == count:
                batch = tf.range(count, dtype=tf.int64)
            elif count % size:
                batch = orders[epoch, begin : begin + size]
            else:  # all of one size, which compilers want to know
                batch = tf.slice(orders, [epoch, begin], [1, size])[0]
            value, *gradients = sum_over_shares(strategy, of_share, batch, *data)
            finite = tf.math.is_finite(value)
            if finite:
                for w, v, g in zip(weights, velocities, gradients):
                    strategy.extended.update(w, momentum_step, (v, g, *rates), group=False)
                running = value if step == 0 else OLD_SHARE * running + (1 - OLD_SHARE) * value
                step += 1
            fitted = running < recipe.stop_loss
        return step, running, finite

    return steps


def lbfgs(
    network: keras.Model, examples, loss: Callable, iterations: int, stop_loss: float
) -> None:
    """Bring a network to a minimum by L-BFGS on all examples (SciPy's), in place.

    Args:
      network: whose trainable weights change.
      examples: with `images` [n, ...] and `targets` [n, k].
      loss: targets, outputs -> losses [b].
      iterations: take no more than so many.
      stop_loss: end once the mean loss is below.
    """
    weights = [v.value for v in network.trainable_variables]
    ends = np.cumsum([w.shape.num_elements() for w in weights])[:-1]

    @tf.function(autograph=False)
    def value_and_gradients():
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(examples.targets, network(examples.images, training=True)))
        return value, tape.gradient(value, weights)

    def of(vector):
        for w, part in zip(weights, np.split(vector, ends)):
            w.assign(part.reshape(w.shape))
        value, gradients = value_and_gradients()
        return float(value), np.concatenate([np.ravel(g).astype(np.float64) for g in gradients])

    def enough(intermediate_result):
        if intermediate_result.fun < stop_loss:
            raise StopIteration

    start = np.concatenate([np.ravel(w).astype(np.float64) for w in weights])
    limits = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 0, "gtol": 0}
    found = optimize.minimize(
        of, start, jac=True, method="L-BFGS-B", callback=enough, options=limits
    )
    of(found.x)
    reached = "" if found.fun < stop_loss else f", not below {stop_loss:g}"
    print(f"L-BFGS: loss {found.fun:.3g}{reached} after {found.nit:,} iterations", flush=True)


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
    return tf.reduce_mean(tf.square(outputs - tf.cast(targets, outputs.dtype)), axis=-1)


def evaluate(network: keras.Model, examples, loss: Callable) -> dict[str, float]:
    """Return the mean loss and the accuracy over all examples, each weighing the same."""
    total, correct = 0.0, 0
    for begin in range(0, len(examples), 1000):
        x, y = (a[begin : begin + 1000] for a in (examples.images, examples.targets))
        outputs = network(x, training=False)
        total += float(tf.reduce_sum(tf.cast(loss(y, outputs), tf.float64)))
        correct += int((outputs.numpy().argmax(-1) == y.argmax(-1)).sum())
    return {"loss": total / len(examples), "accuracy": correct / len(examples)}

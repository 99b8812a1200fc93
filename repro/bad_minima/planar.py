"""SGD on a 2-100-100-1 ReLU network with logistic loss: a million tiny steps, compiled by XLA.

A state is a dictionary of arrays: the weights `w1`, `b1`, `w2`, ..., their velocities `v_w1`, ...,
and `epoch`, `rate`, `best` (accuracy) and `waited` (epochs since) for rates that fall on plateaus.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

SIZES = (2, 100, 100, 1)
WEIGHTS = ("w1", "b1", "w2", "b2", "w3", "b3")


def initial_weights(seed: int) -> dict[str, np.ndarray]:
    """Return weights drawn as PyTorch's Linear does, U(-b, b) with b = fan_in^(-1/2)."""
    rng, weights = np.random.default_rng([seed, 100]), {}
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(SIZES), start=1):
        bound = fan_in**-0.5
        weights[f"w{number}"] = rng.uniform(-bound, bound, (fan_in, fan_out)).astype(np.float32)
        weights[f"b{number}"] = rng.uniform(-bound, bound, fan_out).astype(np.float32)
    return weights


def start(weights: Mapping, recipe: Mapping) -> dict[str, np.ndarray]:
    """Return the state before the first epoch: momentum 0, the recipe's rate."""
    velocities = {f"v_{name}": np.zeros_like(weights[name]) for name in WEIGHTS}
    counters = {
        "epoch": np.int32(0),
        "rate": np.float32(recipe["rate"]),
        "best": np.float32(0),
        "waited": np.int32(0),
    }
    return {**{name: weights[name] for name in WEIGHTS}, **velocities, **counters}


def weights_of(states: Mapping, stage: str) -> dict[str, np.ndarray] | None:
    """Return the state of one stage out of `stage/name` arrays; None where there is none."""
    prefix = f"{stage}/"
    return {k[len(prefix) :]: v for k, v in states.items() if k.startswith(prefix)} or None


def train(
    state: Mapping,
    data: tuple[np.ndarray, np.ndarray],
    epochs: int,
    batch_size: int,
    key: Sequence[int],
    recipe: Mapping,
) -> dict[str, np.ndarray]:
    """Train for some epochs more and return the new state.

    PyTorch's SGD: g = gradient + l2 w, v <- momentum v + g, w <- w - rate v.

    Args:
      state: as `start` or `train` return it.
      data: points [n, 2] and labels [n]; n a multiple of `batch_size`.
      epochs: how many.
      key: with the epoch's number, keys the order of the points.
      recipe: momentum, l2 (0 by default); mean: average the loss over a batch rather than add it
        up; patience, rate_drop: the rate is multiplied by the latter once the accuracy has not
        risen for so many epochs.

    Raises:
      ValueError: batches do not divide the points.
    """
    points, labels = data
    if len(points) % batch_size:
        raise ValueError(f"{len(points)} points cannot be cut into batches of {batch_size}")
    done = int(state["epoch"])
    orders = np.stack(
        [
            np.random.default_rng([*key, done + epoch]).permutation(len(points))
            for epoch in range(epochs)
        ]
    )
    new = _epochs(
        {name: tf.constant(value) for name, value in state.items()},
        tf.constant(points),
        tf.constant(labels),
        tf.constant(orders.reshape(epochs, -1, batch_size), tf.int32),
        tf.constant(recipe.get("momentum", 0.0)),
        tf.constant(recipe.get("l2", 0.0)),
        tf.constant(1 / batch_size if recipe.get("mean") else 1.0),
        tf.constant(recipe.get("patience", 2**31 - 1)),
        tf.constant(recipe.get("rate_drop", 1.0)),
    )
    return {name: value.numpy() for name, value in new.items()}


def probabilities(state: Mapping, points: np.ndarray) -> np.ndarray:
    """Return the network's probability of label 1 at each point, float32 [n]."""
    return tf.sigmoid(_logits(state, tf.constant(points))).numpy()


def accuracy(state: Mapping, points: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of points on the side of their label."""
    return float(((probabilities(state, points) > 0.5) == (labels > 0.5)).mean())


def _logits(state, points):
    hidden = tf.nn.relu(points @ state["w1"] + state["b1"])
    hidden = tf.nn.relu(hidden @ state["w2"] + state["b2"])
    return (hidden @ state["w3"] + state["b3"])[:, 0]


@tf.function(jit_compile=True, autograph=False)
def _epochs(state, points, labels, orders, momentum, l2, loss_scale, patience, rate_drop):
    def step(state, batch):
        weights = {name: state[name] for name in WEIGHTS}
        with tf.GradientTape() as tape:
            tape.watch(weights)
            targets = tf.gather(labels, batch)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(
                targets, _logits(weights, tf.gather(points, batch))
            )
            loss = loss_scale * tf.reduce_sum(losses)
        gradients, new = tape.gradient(loss, weights), dict(state)
        for name in WEIGHTS:
            velocity = momentum * state[f"v_{name}"] + gradients[name] + l2 * weights[name]
            new |= {f"v_{name}": velocity, name: weights[name] - state["rate"] * velocity}
        return new

    def epoch(number, state):
        _, state = tf.while_loop(
            lambda batch, _: batch < orders.shape[1],
            lambda batch, state: (batch + 1, step(state, orders[number, batch])),
            (tf.constant(0), state),
        )
        right = (_logits(state, points) > 0) == (labels > 0.5)
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        waited = tf.where(accuracy > state["best"], 0, state["waited"] + 1)
        falls = waited >= patience
        return number + 1, {
            **state,
            "epoch": state["epoch"] + 1,
            "best": tf.maximum(accuracy, state["best"]),
            "rate": tf.where(falls, state["rate"] * rate_drop, state["rate"]),
            "waited": tf.where(falls, 0, waited),
        }

    _, state = tf.while_loop(
        lambda number, _: number < orders.shape[0], epoch, (tf.constant(0), state)
    )
    return state

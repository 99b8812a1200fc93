"""Training a curve: minimise E[L(phi(t))] over its bends, t uniform on [0, 1].

Each step draws one t for its minibatch. The gradient of the loss at phi(t) = sum_k c_k(t) node_k,
times c_k(t), is that of node k, so a step costs what a plain step costs and a few additions.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from repro.landscape import curves, points

SAMPLINGS = ("uniform", "stratified")
STRATA = 16  # consecutive steps that share out [0, 1] under stratified sampling


class CurveVariables:
    """The nodes of a curve as variables, made under the strategy that trains them."""

    def __init__(self, nodes: Sequence[points.Point], *, free_ends: bool = False):
        """Make them.

        Args:
          nodes: where training starts, such as `curves.straight_nodes`.
          free_ends: train the ends too; else they are exactly what was given.
        """
        last = len(nodes) - 1
        self.nodes = [
            [
                keras.Variable(array, trainable=free_ends or 0 < k < last, name=f"node_{k}_{place}")
                for place, array in enumerate(node)
            ]
            for k, node in enumerate(nodes)
        ]

    @property
    def trainable(self) -> list[keras.Variable]:
        """What an optimiser updates: node after node."""
        return [v for node in self.nodes for v in node if v.trainable]

    def get(self) -> list[list]:
        """Return the nodes as points."""
        return [[v.numpy().copy() for v in node] for node in self.nodes]

    def put(self, nodes: Sequence[points.Point]) -> None:
        """Write points into the nodes."""
        for node, arrays in zip(self.nodes, nodes, strict=True):
            for variable, array in zip(node, arrays, strict=True):
                variable.assign(array)


def sample_t(step: tf.Tensor, seed: int, sampling: str = "uniform") -> tf.Tensor:
    """Return the t of a step, float32 in [0, 1], keyed by (seed, step).

    uniform: independent. stratified: of every STRATA consecutive steps each falls into its own
    stratum [i, i + 1) / STRATA, in random order: still uniform, with less variance.

    Raises:
      ValueError: unknown sampling.
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"unknown sampling {sampling!r}; choose from {', '.join(SAMPLINGS)}")
    step = tf.cast(step, tf.int64)
    u = tf.random.stateless_uniform([], tf.stack([tf.constant(seed, tf.int64), step]))
    if sampling == "uniform":
        return u
    # The order of a block's strata: ranks of keyed uniform numbers.
    key = tf.stack([tf.constant(seed + 2**31, tf.int64), step // STRATA])
    order = tf.argsort(tf.random.stateless_uniform([STRATA], key))
    return (tf.cast(order[step % STRATA], tf.float32) + u) / STRATA


def make_curve_step(
    model: keras.Model,
    variables: CurveVariables,
    optimizer: keras.optimizers.Optimizer,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    *,
    kind: str,
    decayed: Sequence[bool],
    weight_decay: float = 0.0,
    seed: int = 0,
    sampling: str = "uniform",
    replicas: int = 1,
    xla: bool = False,
) -> Callable:
    """Return `step(images, labels) -> loss` for one replica; it updates the nodes.

    The loss is the mean of `loss` at phi(t) over the global batch, in training mode, without the L2
    term weight_decay / 2 * ||phi(t)||^2, whose gradient is added. The model's own variables are not
    touched: dropout's state is keyed by the step, and batch norm's moving statistics, which have no
    meaning while t jumps, are left alone (see batch_norm.py).

    Args:
      model: gives the architecture.
      variables: the nodes.
      optimizer: built on `variables.trainable`.
      loss: labels [b], logits [b, k] -> losses [b].
      kind: a key of curves.COEFFICIENTS.
      decayed: for each trainable variable of the model, whether L2 acts on it.
      weight_decay: coefficient of the L2 term at the sampled point.
      seed, sampling: of t, see sample_t.
      replicas: that share a global batch; all draw the same t.
      xla: compile forward and backward pass.

    Raises:
      ValueError: when the step is traced, for a loss that is not one number an example.
    """
    coefficients_at, nodes = curves.COEFFICIENTS[kind], variables.nodes

    def gradients(point, fixed, images, labels):
        with tf.GradientTape() as tape:
            tape.watch(point)
            outputs, _ = model.stateless_call(point, fixed, images, training=True)
            losses = _one_an_example(loss(labels, outputs), images)
            mean = tf.reduce_sum(losses) / tf.cast(tf.size(losses) * replicas, losses.dtype)
            scaled = optimizer.scale_loss(mean)
        return mean, tape.gradient(scaled, point, unconnected_gradients="zero")

    if xla:
        gradients = tf.function(gradients, jit_compile=True, autograph=False)

    # AutoGraph has nothing to convert, and would wrap errors in pages of its own.
    @tf.autograph.experimental.do_not_convert
    def step(images, labels):
        count, dtype = optimizer.iterations, nodes[0][0].dtype
        t = tf.cast(sample_t(count, seed, sampling), dtype)
        c = tf.unstack(coefficients_at(t, len(nodes)), len(nodes))
        point = [tf.add_n([ck * v.value for ck, v in zip(c, same)]) for same in zip(*nodes)]
        fixed = _keyed(model, count)
        mean, slope = gradients(point, fixed, images, labels)
        if weight_decay:
            # Replicas' gradients are added up; the optimiser divides what is scaled (float16).
            factor = optimizer.scale_loss(tf.constant(weight_decay / replicas, dtype))
            slope = [g + factor * w if d else g for g, w, d in zip(slope, point, decayed)]
        trained = [(ck, node) for ck, node in zip(c, nodes) if node[0].trainable]
        optimizer.apply(
            [ck * g for ck, _ in trained for g in slope], [v for _, node in trained for v in node]
        )
        return mean

    return step


def _one_an_example(losses: tf.Tensor, images) -> tf.Tensor:
    """Return losses, or raise ValueError where they are not [b]."""
    batch = tf.nest.flatten(images)[0].shape[:1]
    if losses.shape.rank != 1 or not losses.shape.is_compatible_with(batch):
        raise ValueError(
            f"loss must return one number an example, {batch.as_list()}, but returns "
            f"{losses.shape}: take reduction='none' of a Keras loss, give labels the shape of the "
            "outputs, and sum losses of several tokens over them"
        )
    return losses


def _keyed(model: keras.Model, step: tf.Tensor) -> list[tf.Tensor]:
    """Return the values of all non-trainable variables, dropout's states moved on by `step`.

    A state is (seed, counter); replicas differ in their seeds.
    """
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    weights, values = {id(v) for v in model.weights}, []
    for variable in model.non_trainable_variables:
        value = variable.value
        if id(variable) not in weights:  # a random state
            moved = [tf.cast(replica, value.dtype), tf.cast(step, value.dtype)]
            value = value + tf.stack(moved)  # a new tensor: the variable stays
        values.append(value)
    return values

"""One optimisation step and one evaluation, under any strategy, compiled as loops over batches."""

import functools
import time
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from repro.training.resume import stop_if_asked

SECONDS_PER_CALL = 1.0  # of a compiled loop
STEPS_PER_CALL_OF_WORKERS = 50
MANY_OUTPUTS = 100  # networks with more of them have a top-5 accuracy
SETS_AT_HAND = 3  # of an evaluation; a run that redraws its images has new ones in every epoch


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Return the softmax cross-entropy of each example, [b], for labels [b] and logits [b, k]."""
    if logits.dtype == tf.float64:  # as in curvature; GPUs have no kernel for all of it in one
        return -tf.gather(tf.nn.log_softmax(logits), labels, batch_dims=1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def kernels(model: keras.Model) -> list[keras.Variable]:
    """Return the weights that weight decay acts on: kernels, but no biases and no batch norm."""
    return [v for v in model.trainable_variables if v.path.endswith("kernel")]


def make_train_steps(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    strategy: tf.distribute.Strategy,
    *,
    weight_decay: float = 0.0,
    decayed: Sequence[keras.Variable] | None = None,
    example_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = cross_entropy,
    xla: bool = False,
) -> Callable:
    """Return `train_steps(iterator, steps)`, see `repeated`, of plain training.

    Each step minimises mean example_loss + weight_decay / 2 * sum of squares of `decayed`, over the
    global batch. The losses summed are those of the examples alone, without the L2 term.

    Args:
      model, optimizer: built under `strategy`; the optimizer too (`optimizer.build`).
      strategy: that of this process.
      weight_decay: coefficient of the L2 term, as the papers write it (gradient weight_decay * w).
      decayed: weights it acts on; None: `kernels(model)`.
      example_loss: labels [b], outputs [b, k] -> losses [b].
      xla: compile forward and backward pass with XLA; never the update, whose all-reduce XLA
        cannot hold.

    Raises:
      ValueError: xla with synchronised batch norm on several replicas, an all-reduce again.
    """
    decayed = kernels(model) if decayed is None else decayed
    replicas = strategy.num_replicas_in_sync
    shared_norms = [layer for layer in model.layers if getattr(layer, "synchronized", False)]
    if xla and replicas > 1 and shared_norms:
        raise ValueError("--xla cannot compile batch norm that several replicas share: drop --xla")
    variables = model.trainable_variables

    def gradients(images, labels):
        with tf.GradientTape() as tape:
            losses = example_loss(labels, model(images, training=True))
            # Replicas' gradients are added up, so each divides by the size of the global batch.
            loss = tf.reduce_sum(losses) / tf.cast(tf.size(losses) * replicas, losses.dtype)
            objective = loss
            if weight_decay:
                squares = tf.add_n([tf.nn.l2_loss(v.value) for v in decayed])
                objective += weight_decay * squares / replicas
            scaled = optimizer.scale_loss(objective)
        return loss, tape.gradient(scaled, variables)

    if xla:
        gradients = tf.function(gradients, jit_compile=True, autograph=False)

    def replica_step(images, labels):
        loss, grads = gradients(images, labels)
        optimizer.apply(grads, variables)
        return loss

    return repeated(replica_step, strategy)


def repeated(replica_step: Callable, strategy: tf.distribute.Strategy) -> Callable:
    """Return `train_steps(iterator, steps, look=True) -> (sum of losses, steps done)`.

    The loop stops at the first loss that is not finite: then fewer steps are done than asked for.
    With `look=False` it takes all steps and looks at no loss, for which a TPU would have to wait at
    every step; the sum is not finite if one of the losses is not.

    Args:
      replica_step: (images, labels) of one replica -> its share of the loss, after an update.
      strategy: that of this process.
    """
    # It has no loops of tensors.
    replica_step = tf.autograph.experimental.do_not_convert(replica_step)

    @tf.function
    def train_steps(iterator, steps, look=True):
        total, done, finite = tf.constant(0.0, tf.float64), tf.constant(0), tf.constant(True)
        while done < steps and finite:
            loss = strategy.run(replica_step, args=next(iterator))
            loss = strategy.reduce("sum", loss, axis=None)
            if look:
                finite = tf.math.is_finite(loss)
            if finite:
                total += tf.cast(loss, tf.float64)
                done += 1
        return total, done

    return train_steps


def make_evaluate(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    example_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = cross_entropy,
    *,
    batch_statistics: bool = False,
) -> Callable:
    """Return `evaluate(batches) -> {"loss", "accuracy"}`, exact means over all examples.

    `batches` is a pipeline.EvaluationBatches. The network runs in inference mode; sums are float64,
    so that the result does not depend on how the set was cut into batches. With `batch_statistics`
    it does: the network runs in training mode, though nothing of it is updated. Of networks with
    more than 100 outputs there is `top5_accuracy` too: how often a label is among the 5 largest.
    """
    sums = make_sums(model, strategy, example_loss, batch_statistics=batch_statistics)
    distributed = functools.lru_cache(SETS_AT_HAND)(strategy.distribute_datasets_from_function)
    workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)

    def evaluate(batches) -> dict[str, float]:
        iterator = iter(distributed(batches.dataset))
        total, done, calls = tf.zeros(sums_of(model), tf.float64), 0, CallLength(workers)
        while done < batches.steps:
            steps = calls.next(batches.steps - done)
            total = sums(iterator, tf.constant(steps), total)  # adds up in the one order there is
            total.numpy()  # waits for it
            done += steps
            stop_if_asked()
        loss, correct, count, *among_five = total.numpy()
        means = {"loss": float(loss / count), "accuracy": float(correct / count)}
        if among_five:
            means["top5_accuracy"] = float(among_five[0] / count)
        return means

    return evaluate


def sums_of(model: keras.Model) -> int:
    """Return how many sums an evaluation has: 4 with the top-5 accuracy of many outputs, else 3."""
    return 4 if model.output_shape[-1] > MANY_OUTPUTS else 3


def make_sums(
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    example_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = cross_entropy,
    *,
    batch_statistics: bool = False,
) -> Callable:
    """Return `sums(iterator, steps, total)`, the compiled loop of `make_evaluate`.

    It adds to `total`, float64 [sums_of(model)], the sums of the losses, of the right answers, of
    the weights, and of labels among the 5 largest outputs, over batches (images, labels, weights)
    of so many steps.
    """
    count = sums_of(model)

    def outputs(images):
        if not batch_statistics:
            return model(images, training=False)
        weights, state = model.trainable_variables, model.non_trainable_variables
        return model.stateless_call(weights, state, images, training=True)[0]

    @tf.autograph.experimental.do_not_convert
    def replica_sums(images, labels, weights):
        logits = outputs(images)
        weights = tf.cast(weights, tf.float64)
        losses = tf.cast(example_loss(labels, logits), tf.float64)
        correct = tf.cast(tf.argmax(logits, axis=-1) == labels, tf.float64)
        parts = [losses, correct, tf.ones_like(losses)]
        if count == 4:
            five = tf.math.top_k(logits, 5).indices  # of equal outputs the first, as argmax
            among = tf.reduce_any(tf.cast(five, labels.dtype) == labels[:, None], axis=-1)
            parts.append(tf.cast(among, tf.float64))
        return tf.stack([tf.reduce_sum(weights * x) for x in parts])

    @tf.function
    def sums(iterator, steps, total):
        for _ in tf.range(steps):
            share = strategy.run(replica_sums, args=next(iterator))
            total += strategy.reduce("sum", share, axis=None)
        return total

    return sums


class CallLength:
    """How many steps a call of a compiled loop takes: about a second's, between looks at signals.

    Several workers match their all-reduces by iteration of the loop: they wait for each other for
    ever unless all ask for the same numbers of steps, whatever their clocks say.
    """

    def __init__(self, workers: bool):
        """Begin with one step; several workers always take as many."""
        self._workers, self._last = workers, 0
        self._since = time.perf_counter()

    def next(self, left: int) -> int:
        """Return the steps of the next call, of so many that are left; called just before it."""
        now = time.perf_counter()
        if self._workers:
            wanted = STEPS_PER_CALL_OF_WORKERS
        elif self._last:
            wanted = max(1, int(self._last * SECONDS_PER_CALL / max(now - self._since, 1e-9)))
        else:
            wanted = 1
        self._since, self._last = now, min(wanted, left)
        return self._last

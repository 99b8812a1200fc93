"""Sharpness-aware minimisation (Foret et al. 2021): the gradient at the worst point nearby."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from repro.training import step


def make_train_steps(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    strategy: tf.distribute.Strategy,
    *,
    rho: float,
    weight_decay: float = 0.0,
    decayed: Sequence[keras.Variable] | None = None,
    example_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] = step.cross_entropy,
) -> Callable:
    """Return `train_steps(iterator, steps)`, see `step.repeated`, of SAM.

    With g the gradient of the mean example_loss at the weights w, a step hands the optimizer

        gradient of the mean example_loss at w + rho g / |g|, plus weight_decay w.

    The batch is the same, dropout's draw too, and it is the global batch: m of m-sharpness is the
    batch size, whatever the number of replicas. Batch norm's moving statistics are updated once, at
    w + rho g / |g|. The losses summed are those at w.

    Args:
      model, optimizer: built under `strategy`.
      strategy: that of this process.
      rho: length of the step to the worst point; above 0.
      weight_decay, decayed: of the L2 term, as for `step.make_train_steps`.
      example_loss: labels [b], outputs [b, k] -> losses [b].

    Raises:
      ValueError: rho is not above 0; an optimizer that scales its loss.
    """
    if not rho > 0:
        raise ValueError(f"rho={rho} must be above 0: plain training has step.make_train_steps")
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError("SAM has no loss scaling: use float32 or mixed_bfloat16")
    variables, replicas = model.trainable_variables, strategy.num_replicas_in_sync
    acted_on = {id(v) for v in (step.kernels(model) if decayed is None else decayed)}

    def slopes_at(weights, images, labels):
        state = [tf.convert_to_tensor(v.value) for v in model.non_trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs, state = model.stateless_call(weights, state, images, training=True)
            losses = example_loss(labels, outputs)
            loss = tf.reduce_sum(losses) / tf.cast(tf.size(losses) * replicas, losses.dtype)
        return loss, tape.gradient(loss, weights, unconnected_gradients="zero"), state

    def replica_step(images, labels):
        weights = [tf.convert_to_tensor(v.value) for v in variables]
        loss, slopes, _ = slopes_at(weights, images, labels)
        if replicas > 1:
            slopes = tf.distribute.get_replica_context().all_reduce("SUM", slopes)
        factor = tf.math.divide_no_nan(rho, tf.linalg.global_norm(slopes))
        worst = [w + factor * slope for w, slope in zip(weights, slopes)]
        _, gradients, state = slopes_at(worst, images, labels)
        for variable, value in zip(model.non_trainable_variables, state):
            variable.assign(value)
        if weight_decay:  # replicas' gradients are added up
            gradients = [
                g + weight_decay / replicas * w if id(v) in acted_on else g
                for g, w, v in zip(gradients, weights, variables)
            ]
        optimizer.apply(gradients, variables)
        return loss

    return step.repeated(replica_step, strategy)

"""Row of tools/benchmark for mode connectivity: a step on a curve over a plain step."""

import functools

from repro.tools.benchmark_rows import REPEATS, Row, judged, medians

BATCH = 100  # Gotmare et al. 2018
MODELS = ("vgg16_quarter", "vgg16_quarter_bn")


def curve_step(fast: bool, model: str) -> Row:
    """Compare a step that trains the bend of a chain with one that trains the network itself."""
    import keras
    import tensorflow as tf

    from repro import models
    from repro.landscape import curve_training, curves, points
    from repro.training import optimizers, step

    strategy, size = tf.distribute.get_strategy(), (32, 32, 3)
    images = tf.random.stateless_normal((BATCH, *size), [0, 0])
    labels = tf.range(BATCH, dtype=tf.int64) % 10
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    ends = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        network = models.build(model, size, 10)
        ends.append(points.get(network))

    plain = optimizers.sgd(1e-4, 0.9)
    plain.build(network.trainable_variables)
    plain_steps = step.make_train_steps(network, plain, strategy, weight_decay=5e-4)
    variables = curve_training.CurveVariables(curves.straight_nodes(*ends, 1))
    bend = optimizers.sgd(1e-4, 0.9)
    bend.build(variables.trainable)
    curve_steps = step.repeated(
        curve_training.make_curve_step(
            network,
            variables,
            bend,
            step.cross_entropy,
            kind="polychain",
            decayed=[True] * len(ends[0]),
            weight_decay=5e-4,
        ),
        strategy,
    )
    count = tf.constant(2 if fast else 30)
    ((plain_time, plain_cpu), (curve_time, curve_cpu)) = medians(
        [
            functools.partial(plain_steps, iter(batches), count),
            functools.partial(curve_steps, iter(batches), count),
        ],
        1 if fast else REPEATS,
    )
    each = 1e3 / int(count)
    detail = (
        f"{curve_time * each:.1f} ms a step over {plain_time * each:.1f} ms; "
        f"processor time {curve_cpu / plain_cpu:.3f}"
    )
    return judged(f"curve_step/{model}", curve_time / plain_time, "ratio", "<= 1.15", detail)


ROWS = {f"curve_step/{model}": functools.partial(curve_step, model=model) for model in MODELS}

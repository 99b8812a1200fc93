"""Benchmark rows of the curvature room, on the 898,510-weight network of Wu, Ma, E at n = 1000."""

import functools

from repro.tools.benchmark_rows import REPEATS, Row, judged, medians

EXAMPLES = 1000


def hvp_over_gradient(fast: bool) -> Row:
    """Compare a product with the Hessian with a gradient of the same loss over the same batch."""
    import numpy as np
    import tensorflow as tf

    from repro import curvature
    from repro.stability.descent import squared_error

    network, images, targets = _problem(fast)
    weights = network.trainable_variables
    x, y = tf.constant(images), tf.constant(targets)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(squared_error(y, network(x, training=False)))
        return tape.gradient(loss, weights)

    hessian = curvature.hessian(network, squared_error, (images, targets))
    vector = np.random.default_rng(0).standard_normal(hessian.size)
    (slow, _), (quick, _) = medians(
        [lambda: hessian.product(vector), lambda: [g.numpy() for g in gradient()]],
        2 if fast else 5 * REPEATS,
    )
    detail = f"{1e3 * slow:.0f} ms over {1e3 * quick:.0f} ms"
    return judged("curvature/hvp_over_gradient", slow / quick, "ratio", "<= 3", detail)


def nonuniformity_speedup(fast: bool) -> Row:
    """Compare a product with Sigma with one by 2n + 1 products, single examples in a loop."""
    import numpy as np
    import tensorflow as tf

    from repro import curvature
    from repro.curvature import moments
    from repro.curvature.weights import join, point, split
    from repro.stability.descent import squared_error

    network, images, targets = _problem(fast)
    here = point(network)

    @tf.function
    def single(vector, x, y):
        weights = list(here.weights)
        with tf.GradientTape() as outer:
            outer.watch(weights)
            with tf.GradientTape() as inner:
                inner.watch(weights)
                loss = squared_error(y, here.outputs(weights, x))
            slopes = inner.gradient(loss, weights)
            slope = tf.add_n([tf.reduce_sum(g * v) for g, v in zip(slopes, vector)])
        return outer.gradient(slope, weights)

    x, y = tf.constant(images), tf.constant(targets)
    whole = curvature.hessian(network, squared_error, (images, targets))

    def loop(vector):
        direction = split(tf.constant(vector), here.weights)
        mean, second = tf.zeros(here.size, tf.float64), tf.zeros(here.size, tf.float64)
        for i in range(len(images)):
            once = single(direction, x[i : i + 1], y[i : i + 1])
            mean += join(once)
            second += join(single(once, x[i : i + 1], y[i : i + 1]))
        return second.numpy() / len(images) - whole.product(mean.numpy() / len(images))

    covariance = moments.moments(network, squared_error, (images, targets)).covariance()
    vector = np.random.default_rng(0).standard_normal(here.size)
    difference = np.linalg.norm(loop(vector) - covariance.product(vector))
    # A unit whose input is nearly 0 may be off in a batch and on where its example is alone, which
    # changes this by 1e-4; tests compare the two ways in float64, to rounding.
    if difference > 1e-2 * np.linalg.norm(covariance.product(vector)):
        raise RuntimeError("the two ways to a product with Sigma disagree")
    # Turns of one loop and several products, so that other programs disturb both.
    ((slow, busy), (quick, busy_quick)) = medians(
        [lambda: loop(vector), lambda: [covariance.product(vector) for _ in range(10)]],
        1 if fast else REPEATS,
    )
    ratio, processor = 10 * slow / quick, 10 * busy / busy_quick
    detail = f"{slow:.2f} s over {100 * quick:.0f} ms; processor time {processor:.1f}"
    return judged("curvature/nonuniformity_speedup", ratio, "ratio", ">= 25", detail)


def lanczos_over_power(fast: bool) -> Row:
    """Compare the products Lanczos takes with those of power iteration, at equal residuals."""
    from repro import curvature
    from repro.curvature import eigen
    from repro.stability.descent import squared_error

    network, *data = _problem(fast)
    operator = curvature.hessian(network, squared_error, tuple(data))
    power = eigen.power_iteration(operator, tolerance=1e-4, max_iterations=300)
    scale = abs(float(power.values[0]))
    lanczos = eigen.lanczos(operator, tolerance=float(power.residuals[0]) / scale)
    ratio = lanczos.iterations / power.iterations
    counts = f"{lanczos.iterations} products over {power.iterations}"
    detail = f"{counts}, residual {power.residuals[0]:.1e}"
    return judged("curvature/lanczos_over_power", ratio, "ratio", "<= 1", detail)


@functools.cache
def _problem(fast: bool):
    """Return the network after a few steps of GD on random images, the images and the targets."""
    import keras
    import numpy as np
    import tensorflow as tf

    from repro import models
    from repro.stability import descent
    from repro.stability.data import Examples

    keras.utils.set_random_seed(0)
    count = 50 if fast else EXAMPLES
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    # Classes with prototypes, so that the Hessian has the few large eigenvalues of real data.
    prototypes = rng.random((10, 28, 28, 1))
    images = (0.7 * prototypes[labels] + 0.3 * rng.random((count, 28, 28, 1))).astype(np.float32)
    examples = Examples(images, np.eye(10, dtype=np.float32)[labels])
    network = models.build("fnn", (28, 28, 1), 10)
    velocities = [tf.Variable(tf.zeros_like(v.value)) for v in network.trainable_variables]
    recipe = descent.Recipe(0.1, count, 0.0, 50, 0.0)
    here = tf.distribute.get_strategy()
    steps = descent.make_steps(network, velocities, examples, recipe, descent.squared_error, here)
    order = tf.constant(descent.epoch_orders(count, range(50), [0]))
    steps(order, tf.constant(0, tf.int64), tf.constant(50, tf.int64), tf.constant(np.inf))
    return network, examples.images, examples.targets


ROWS = {
    "curvature/hvp_over_gradient": hvp_over_gradient,
    "curvature/nonuniformity_speedup": nonuniformity_speedup,
    "curvature/lanczos_over_power": lanczos_over_power,
}

"""Every measurement in float32 against the same in float64, as the table in WORKSPACE.md has it.

The network and its data are the same, weights are float32 numbers in both; what differs is the
arithmetic. An entry is the largest relative difference that is allowed: about ten times what was
found, as kernels of other processors round in another order. They may be off by so much: float32
rounds by 2^-24, and a sum of 100 terms, the longest of a layer here, by about 10 times that, 6e-7.
No unit of ReLU or max-pooling changes sides between the two here; where one does, second
derivatives differ by what it adds.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import curvature, norms
from repro.curvature import moments, stability
from repro.landscape import alignment, batch_norm, curves, evaluation, permutations, points

EXAMPLES = 40
TS = np.linspace(0, 1, 5)
# measurement -> largest relative difference between float32 and float64
ALLOWED = {
    "sharpness": 1e-6,
    "smallest eigenvalue": 2e-6,
    "trace": 1e-6,
    "second moment of the density": 1e-6,
    "third moment of the density": 1e-6,
    "non-uniformity": 1e-6,
    "m-sharpness": 2e-6,  # a difference of losses that are up to 26 times as large: 26 * 2^-24
    "Hessian's Frobenius norm": 1e-6,
    "path norm": 1e-12,  # computed in float64, whatever the network computes in
    "Frobenius norm": 1e-12,
    "product norm (log10)": 1e-12,
    "distance from the start": 1e-12,
    "margin, mean": 1e-6,
    "margin, lowest": 1e-6,
    "loss along a curve": 1e-6,
    "barrier along a curve": 2e-6,  # a difference of losses that are up to twice as large
    "gradient norm": 1e-6,
    "Theorem 1's eigenvalue": 2e-6,  # of squares of Hessians: twice as much as one
    "adaptive sharpness": 2e-6,  # a difference too, of losses up to 15 times as large
    "alignment of SGD's noise": 2e-6,  # of five derivatives: 5^(1/2) times as much as one
    "re-estimated batch norm": 2e-6,  # sums of 1,024 entries: 2^-24 times their root
}


def convolutional():
    """ReLU, max-pooling and batch norm in inference mode: what papers' networks are made of."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(synchronized=True, moving_variance_initializer="ones"),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(12, activation="relu"),
            layers.Dense(10),
        ]
    )


def perceptron():
    keras.utils.set_random_seed(3)
    layers = keras.layers
    hidden = layers.Dense(16, activation="relu")
    return keras.Sequential([keras.Input((10, 10, 1)), layers.Flatten(), hidden, layers.Dense(10)])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(EXAMPLES, 10, 10, 1)).astype(np.float32)
    return images, rng.integers(0, 10, EXAMPLES)


def loss(labels, logits):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def pair(build, data):
    """Return (network, data) in float32 and in float64, at the same weights."""
    network = build()
    images, labels = data
    return (network, data), (
        norms.at_dtype(network, "float64"),
        (images.astype(np.float64), labels),
    )


CHEAP = [name for name in ALLOWED if name.split()[0] in ("path", "product", "distance", "margin,")]
CHEAP += [
    "Frobenius norm",
    "loss along a curve",
    "barrier along a curve",
    "re-estimated batch norm",
]


def measured(network, data, only=None) -> dict[str, float | np.ndarray]:
    """Return all measurements of a network by name; `only`: those alone that take no second."""
    logits = norms.logits_on(network, data[0])
    margins, frobenius = norms.margins(logits, data[1]), norms.frobenius(network)
    start = [w + np.float32(0.125) for w in norms.snapshot(network)]
    cheap = {
        "path norm": norms.path_norm(network, 2),
        "Frobenius norm": frobenius["frobenius"],
        "product norm (log10)": frobenius["log10_product"],
        "distance from the start": norms.distances(start, network)["all"],
        "margin, mean": margins["mean"],
        "margin, lowest": margins["lowest"],
        "loss along a curve": float(np.mean(losses_along(network, data, 1.25))),
        "barrier along a curve": evaluation.barrier_over_chord(TS, losses_along(network, data, 3)),
        "re-estimated batch norm": statistics(network, data),
    }
    if only:
        return cheap
    of, exact = (network, loss, data), {"tolerance": 1e-6}
    here = moments.moments(*of).at(points.get(network))
    both = stability.sharpness_and_nonuniformity(here, **exact)
    theorem = stability.theorem_1_of(here, learning_rate=1.0, sgd_batch_size=10, **exact)
    density = curvature.spectral_density(*of, probes=2, steps=30)
    low = curvature.top_eigenvalues(*of, which="smallest", **exact)
    return cheap | {
        "sharpness": both[0].value,
        "non-uniformity": both[1].value,
        "smallest eigenvalue": float(low.values[0]),
        "trace": curvature.trace(*of, max_iterations=20).value,
        "second moment of the density": density.moment(2)[0],
        "third moment of the density": density.moment(3)[0],
        "m-sharpness": curvature.m_sharpness(*of, rho=0.05, m=20, steps=1).value,
        "Hessian's Frobenius norm": curvature.frobenius_norm(*of, max_iterations=20).value,
        "gradient norm": curvature.criticality(*of).gradient_norm,
        "Theorem 1's eigenvalue": theorem.value,
        "adaptive sharpness": curvature.m_sharpness(*of, rho=0.5, m=20, adaptive=True).value,
        "alignment of SGD's noise": curvature.noise_alignment(*of, max_iterations=24).value,
    }


def losses_along(network, data, factor) -> np.ndarray:
    """Return the mean losses at five points of a Bezier curve, whose bend is `factor` as long."""
    start = points.get(network)
    end, bend = ([w * w.dtype.type(share) for w in start] for share in (0.5, factor))
    path, losses = curves.Bezier([start, bend, end]), []
    state = [v.value for v in network.non_trainable_variables]
    for t in TS:
        weights = [tf.cast(w, network.dtype) for w in path.at(t)]
        logits = network.stateless_call(weights, state, data[0], training=False)[0]
        losses.append(tf.reduce_mean(tf.cast(loss(data[1], logits), tf.float64)))
    return np.array(losses)


def statistics(network, data) -> np.ndarray:
    """Return the means and deviations that batch norm takes over three batches, [2 channels]."""
    before, (images, _) = network.get_weights(), data
    batch_norm.make_reestimate(network)([images[:16], images[16:32], images[32:]])
    found = [
        (layer.moving_mean.numpy(), np.sqrt(layer.moving_variance.numpy()))
        for layer in batch_norm.layers(network)
    ]
    network.set_weights(before)
    return np.ravel(found)


def differences(build, data, only=None) -> dict[str, float]:
    """Return relative differences of float32 from float64 by measurement, of lengths of vectors."""
    single, double = (measured(*one, only) for one in pair(build, data))
    return {
        name: float(np.linalg.norm(single[name] - value) / np.linalg.norm(value))
        for name, value in double.items()
        if np.size(value)  # a network without batch norm has no statistics
    }


def names(build, among):
    return set(among) - ({"re-estimated batch norm"} if build is perceptron else set())


def test_measurements_without_second_derivatives(data):
    for build in (perceptron, convolutional):
        found = differences(build, data, only=CHEAP)
        assert set(found) == names(build, CHEAP)
        for name, difference in found.items():
            assert difference <= ALLOWED[name], (build.__name__, name, difference)


@pytest.mark.slow
@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_every_measurement(build, data):
    found = differences(build, data)
    assert set(found) == names(build, ALLOWED)
    print("\n".join(f"| {name} | {found[name]:.1e} | {ALLOWED[name]:.0e} |" for name in found))
    for name, difference in found.items():
        assert difference <= ALLOWED[name], (name, difference)


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_the_matching_found_is_the_same(build, data):
    """Of two networks that have nothing in common, where many matchings are about as good."""
    found = []
    for network, (images, _) in pair(build, data):
        symmetry, weights = permutations.find(network), alignment.get_weights(network)
        rng = np.random.default_rng(1)
        others = [rng.normal(size=w.shape).astype(np.float32) for w in weights]
        others = [abs(w) if w.ndim == 1 else w for w in others]  # variances among them
        found.append(
            [
                alignment.match_weights(symmetry, weights, others),
                alignment.match_activations(network, symmetry, weights, others, [images]),
            ]
        )
    for single, double in zip(*found):
        assert set(single) == set(double)
        for group, order in double.items():
            np.testing.assert_array_equal(single[group], order)
        assert any((order != np.arange(len(order))).any() for order in double.values())

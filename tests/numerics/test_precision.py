"""Every measurement in float32 against the same in float64, as the table in WORKSPACE.md has it.

The network and its data are the same, weights are float32 numbers in both; what differs is the
arithmetic. An entry is the largest relative difference that is allowed: about ten times what was
found, as kernels of other processors round in another order. No unit of ReLU or max-pooling changes
sides between the two here; where one does, second derivatives differ by what it adds.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from repro import curvature, norms
from repro.curvature import moments, stability
from repro.landscape import curves, points

EXAMPLES = 40
# measurement -> largest relative difference between float32 and float64
ALLOWED = {
    "sharpness": 1e-6,
    "smallest eigenvalue": 2e-6,
    "trace": 1e-6,
    "second moment of the density": 1e-6,
    "third moment of the density": 1e-6,
    "non-uniformity": 1e-6,
    "m-sharpness": 2e-6,
    "norm of SGD's noise": 1e-6,
    "path norm": 1e-12,  # computed in float64, whatever the network computes in
    "Frobenius norm": 1e-12,
    "product norm (log10)": 1e-12,
    "distance from the start": 1e-12,
    "margin, mean": 1e-6,
    "margin, lowest": 1e-6,
    "loss along a curve": 1e-6,
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


CHEAP = [name for name in ALLOWED if "norm" in name or "margin" in name or "distance" in name]
CHEAP = [*(name for name in CHEAP if "noise" not in name), "loss along a curve"]


def measured(network, data, only=None) -> dict[str, float]:
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
        "loss along a curve": along_a_curve(network, data),
    }
    if only:
        return cheap
    of, exact = (network, loss, data), {"tolerance": 1e-6}
    both = stability.sharpness_and_nonuniformity(
        moments.moments(*of).at(points.get(network)), tolerance=1e-6, max_iterations=200
    )
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
        "norm of SGD's noise": curvature.frobenius_norm(*of, max_iterations=20).value,
    }


def along_a_curve(network, data) -> float:
    """Return the mean loss at five points of a Bezier curve, whose bend is beside its ends."""
    start = points.get(network)
    end, bend = ([w * w.dtype.type(factor) for w in start] for factor in (0.5, 1.25))
    path, losses = curves.Bezier([start, bend, end]), []
    state = [v.value for v in network.non_trainable_variables]
    for t in (0.0, 0.25, 0.5, 0.75, 1.0):
        weights = [tf.cast(w, network.dtype) for w in path.at(t)]
        logits = network.stateless_call(weights, state, data[0], training=False)[0]
        losses.append(tf.reduce_mean(tf.cast(loss(data[1], logits), tf.float64)))
    return float(np.mean(losses))


def differences(build, data, only=None) -> dict[str, float]:
    """Return relative differences of float32 from float64 by measurement."""
    single, double = (measured(*one, only) for one in pair(build, data))
    return {name: abs(single[name] / double[name] - 1) for name in double}


def test_measurements_without_second_derivatives(data):
    for build in (perceptron, convolutional):
        found = differences(build, data, only=CHEAP)
        assert set(found) == set(CHEAP)
        for name, difference in found.items():
            assert difference <= ALLOWED[name], (build.__name__, name, difference)


@pytest.mark.slow
@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_every_measurement(build, data):
    found = differences(build, data)
    assert set(found) == set(ALLOWED)
    print("\n".join(f"| {name} | {found[name]:.1e} | {ALLOWED[name]:.0e} |" for name in ALLOWED))
    for name, difference in found.items():
        assert difference <= ALLOWED[name], (name, difference)

"""Every instrument refuses TPUs, and switches TensorFloat-32 off for as long as it measures."""

import functools

import pytest
import tensorflow as tf
from problems import squared_error

from repro import curvature
from repro.curvature import data, gradients, moments, weights


def mean_gradient(model, loss, dataset):
    here, stream = weights.point(model), data.batches(dataset, 5)
    return gradients.make_gradient(loss, here, stream, compiled=True)()


M_SHARPNESS = functools.partial(curvature.m_sharpness, rho=0.05, m=5)
INSTRUMENTS = {
    "sharpness": curvature.sharpness,
    "nonuniformity": functools.partial(curvature.nonuniformity, method="per_example"),
    "eigenvalues": curvature.top_eigenvalues,
    "trace": curvature.trace,
    "density": curvature.spectral_density,
    "along": lambda *of: curvature.along(*of, [of[0].get_weights()]),
    "criticality": curvature.criticality,
    "frobenius": curvature.frobenius_norm,
    "noise": curvature.noise_alignment,
    "theorem 1": functools.partial(curvature.theorem_1, learning_rate=0.1, sgd_batch_size=2),
    "hessian": curvature.hessian,
    "gauss_newton": curvature.gauss_newton,
    "moments": moments.moments,
    "m_sharpness": M_SHARPNESS,
    "adaptive": functools.partial(M_SHARPNESS, adaptive=True),
    "gradient": mean_gradient,
}
QUICK = ("sharpness", "nonuniformity", "criticality", "m_sharpness", "gradient")


@pytest.fixture
def reduced():
    """TensorFloat-32 allowed, as it is by default."""
    assert tf.config.experimental.tensor_float_32_execution_enabled()
    yield tf.config.experimental.tensor_float_32_execution_enabled
    tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_tpu_is_refused_whatever_the_strategy(smooth, monkeypatch, name):
    """Runs measure outside of a scope, where the current strategy is the default one."""
    model, x, y = smooth
    devices = {"TPU": ["TPU:0"]}
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: devices.get(kind, []))
    with pytest.raises(ValueError, match="not measured where TensorFlow has a TPU") as caught:
        INSTRUMENTS[name](model, squared_error, (x, y))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", QUICK)
def test_tensor_float_32_is_off_while_kernels_execute(smooth, reduced, name):
    """The loss has a kernel that asks, as those that multiply matrices on a GPU do."""
    model, x, y = smooth
    asked = []

    def ask():
        asked.append(reduced())
        return 0.0

    def loss(targets, outputs):
        answer = tf.numpy_function(ask, [], tf.float64)
        answer.set_shape([])
        losses = squared_error(targets, outputs)
        return losses + tf.cast(tf.stop_gradient(answer), losses.dtype)

    INSTRUMENTS[name](model, loss, (x, y))
    assert len(asked) > 2 and not any(asked)
    assert reduced()


@pytest.mark.parametrize("name", QUICK)
def test_it_is_allowed_again_after_an_error(smooth, reduced, name):
    model, x, y = smooth
    asked = []

    def loss(targets, outputs):
        asked.append(reduced())
        raise RuntimeError("there is no loss")

    with pytest.raises((ValueError, RuntimeError), match="there is no loss"):
        INSTRUMENTS[name](model, loss, (x, y))
    assert asked and not any(asked)
    assert reduced()

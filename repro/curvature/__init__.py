"""Curvature of a loss at any weights: eigenvalues, trace, density, sharpness, non-uniformity.

    from repro import curvature
    a = curvature.sharpness(model, loss, (images, labels))
    s = curvature.nonuniformity(model, loss, (images, labels))
    top = curvature.top_eigenvalues(model, loss, dataset, k=5)
    path = curvature.along(model, loss, dataset, [weights_1, weights_2])
    matrix = curvature.dense(curvature.hessian(small_model, loss, dataset))

`model` is any built Keras model, `loss(targets, outputs)` returns the losses [b] of the examples of
a batch, `dataset` is arrays (inputs, targets) or (inputs, targets, weights), or a batched
tf.data.Dataset of such tuples. See `hvp.hessian` for the arguments all have.
"""

from repro.curvature.data import Data
from repro.curvature.density import SpectralDensity
from repro.curvature.doors import along, spectral_density, top_eigenvalues, trace
from repro.curvature.eigen import Eigenpairs
from repro.curvature.hvp import ExampleLoss, Operator, dense, gauss_newton, hessian
from repro.curvature.stability import Measure, nonuniformity, sharpness, theorem_1
from repro.curvature.traces import TraceEstimate

__all__ = [
    "Data",
    "Eigenpairs",
    "ExampleLoss",
    "Measure",
    "Operator",
    "SpectralDensity",
    "TraceEstimate",
    "along",
    "dense",
    "gauss_newton",
    "hessian",
    "nonuniformity",
    "sharpness",
    "spectral_density",
    "theorem_1",
    "top_eigenvalues",
    "trace",
]

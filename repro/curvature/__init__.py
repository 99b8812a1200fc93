"""Curvature of a loss at any weights: eigenvalues, trace, density, sharpness, non-uniformity.

    from repro import curvature
    a = curvature.sharpness(model, loss, (images, labels))
    s = curvature.nonuniformity(model, loss, (images, labels))
    top = curvature.top_eigenvalues(model, loss, dataset, k=5)
    path = curvature.along(model, loss, dataset, [weights_1, weights_2])
    curvature.criticality(model, loss, dataset).statement       # a minimum, a saddle, or neither?
    mu = curvature.noise_alignment(model, loss, dataset)        # of SGD's noise with the Hessian
    rise = curvature.m_sharpness(model, loss, dataset, rho=0.05, m=128, steps=5)
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
from repro.curvature.minima import Criticality, criticality
from repro.curvature.sgd_noise import Alignment, FrobeniusNorm, frobenius_norm, noise_alignment
from repro.curvature.stability import Measure, nonuniformity, sharpness, theorem_1
from repro.curvature.traces import TraceEstimate
from repro.curvature.worst_loss import WorstLoss, m_sharpness

__all__ = [
    "Alignment",
    "Criticality",
    "Data",
    "Eigenpairs",
    "ExampleLoss",
    "FrobeniusNorm",
    "Measure",
    "Operator",
    "SpectralDensity",
    "TraceEstimate",
    "WorstLoss",
    "along",
    "criticality",
    "dense",
    "frobenius_norm",
    "gauss_newton",
    "hessian",
    "m_sharpness",
    "noise_alignment",
    "nonuniformity",
    "sharpness",
    "spectral_density",
    "theorem_1",
    "top_eigenvalues",
    "trace",
]

"""How far the loss rises around the end of a run: m-sharpness and adaptive sharpness."""

import dataclasses

import keras

from repro import curvature, norms
from repro.bad_minima.data import TrainingData
from repro.bad_minima.settings import Train
from repro.training import step

M = 100  # examples of a batch
# Radii are those that SAM and ASAM train with on CIFAR-10 (Foret et al. 2021, Kwon et al. 2021).
BALLS = {
    "m_sharpness": {"rho": 0.05, "steps": 1, "adaptive": False},
    "m_sharpness_5_steps": {"rho": 0.05, "steps": 5, "adaptive": False},
    "adaptive": {"rho": 0.5, "steps": 1, "adaptive": True},
    "adaptive_5_steps": {"rho": 0.5, "steps": 5, "adaptive": True},
}


def at_end(settings: Train, network: keras.Model, data: TrainingData) -> dict:
    """Return `flatness` where --curvature_at_end asks for it, else nothing.

    By the names of BALLS what `curvature.m_sharpness` found over the images that curvature is
    measured on.
    """
    if not settings.curvature_at_end:
        return {}
    count = settings.curvature_examples
    copy, part = norms.at_dtype(network, "float32"), (data.images[:count], data.labels[:count])
    return {
        "flatness": {
            name: dataclasses.asdict(
                curvature.m_sharpness(
                    copy, step.cross_entropy, part, m=M, seed=settings.seed, **ball
                )
            )
            for name, ball in BALLS.items()
        }
    }

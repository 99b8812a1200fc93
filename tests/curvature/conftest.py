"""The small smooth network that several files look at, and the way to `problems`."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for problems.py, beside the tests


@pytest.fixture
def smooth(float64):
    """A tanh network with its data, small enough for dense matrices: 4-5-3, 43 weights, n = 12."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((4,), dtype="float64")
    model = keras.Sequential([inputs, keras.layers.Dense(5, "tanh"), keras.layers.Dense(3)])
    rng = np.random.default_rng(2)
    return model, rng.standard_normal((12, 4)), rng.standard_normal((12, 3))

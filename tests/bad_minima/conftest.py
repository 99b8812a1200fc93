"""Fixtures of this paper's tests: a tiny network in the place of any other, and a kill."""

import contextlib

import keras
import pytest

from repro import models
from repro.models.layers import batch_norm
from repro.training.runs import RunDirectory


def build_tiny(name, input_shape, num_classes, **options):
    """Stands for a network with batch norm: seconds instead of minutes."""
    inputs = keras.Input(input_shape)
    x = batch_norm("norm")(keras.layers.Conv2D(4, 5, 3, use_bias=False, name="conv")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


@pytest.fixture(scope="module")
def tiny_network():
    """Every network of this module is a tiny one; returns the function that builds it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "build", build_tiny)
        yield build_tiny


class KilledError(BaseException):
    """Stands for a kill; no handler of ordinary errors may catch it."""


@pytest.fixture
def killed():
    """Kill what runs in the block after a row of metrics is logged, before its state is saved.

    killed(epoch, run): at this epoch, in the first directory whose name begins with `run`.
    """

    @contextlib.contextmanager
    def block(epoch, run=""):
        log = RunDirectory.log

        def log_and_die(directory, row):
            log(directory, row)
            if directory.path.name.startswith(run) and row["epoch"] == epoch:
                raise KilledError

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(RunDirectory, "log", log_and_die)
            with pytest.raises(KilledError):
                yield

    return block

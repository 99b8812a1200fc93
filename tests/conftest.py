"""Fixtures shared by all tests, and two virtual CPUs that stand in for two GPUs.

Each file's tests stay on one worker of pytest-xdist, as its fixtures (whole runs) are dear.
"""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[1]

# Must come before TensorFlow starts. Whatever names no device still computes on the first one.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def mirrored():
    """The one MirroredStrategy of this process, over two virtual CPUs."""
    from repro.training.strategy import get_strategy

    return get_strategy("mirrored")


@pytest.fixture
def float64():
    """Layers compute in float64 while the test runs."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def policy():
    """Set the global precision, such as mixed_bfloat16; put back after the test."""
    import keras

    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def make_images():
    """Make (count, size, channels, seed) -> Images of random pixels, with ids 0..count-1."""
    from repro.data.datasets import Images

    def make(count, size=8, channels=3, seed=0, classes=10):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
        return Images(images, rng.integers(0, classes, count), np.arange(count))

    return make


# --- runs -----------------------------------------------------------------------------------------

# A run of repro.randomization that takes seconds.
QUICK = {
    "model": "mlp_1x512", "dataset": "digits", "train_examples": 300, "epochs": 4,
    "batch_size": 64, "dropout_rate": 0.0, "weight_decay": 0.0,
}


@pytest.fixture(scope="session")
def make():
    """Make a run in this process: make(settings, run_dir=..., **places) -> its result.

    Unlike a process of its own a run may leave the precision set; the fixture sets float32 again.
    """
    import keras

    from repro import launch
    from repro.settings import Place

    def make(settings, run_dir=None, **places):
        gc.collect()  # a run broken off by an exception holds its directory until it is collected
        place = Place(run_dir=run_dir and str(run_dir), download=False, **places)
        try:
            return launch.make(settings, place).result()
        finally:
            keras.config.set_dtype_policy("float32")

    return make


@pytest.fixture(scope="session")
def quick(make):
    """Train on digits: quick(run_dir, **settings of randomization and places) -> result."""
    from repro.randomization.settings import Train
    from repro.settings import Place, fields

    places = {field.name for field, _ in fields(Place)}

    def run(run_dir, **changes):
        settings = {k: v for k, v in {**QUICK, **changes}.items() if k not in places}
        return make(Train(**settings), run_dir, **{k: changes[k] for k in set(changes) & places})

    return run


@pytest.fixture(scope="session")
def environment():
    """Environment variables of a process that runs the project's modules on the CPU."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}


# What TensorFlow says while it is imported, whatever its log level.
CHATTER = re.compile(r"[IWE]\d{4} |WARNING: All log messages|To enable the following instructions")


@pytest.fixture(scope="session")
def python(environment):
    """Run `python ARGUMENTS` from the root of the project: (*arguments) -> CompletedProcess.

    Lines that TensorFlow's C++ side wrote to stderr are left out.
    """

    def run(*arguments, **options):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, **options,
        )  # fmt: skip
        lines = done.stderr.splitlines()
        done.stderr = "\n".join(line for line in lines if not CHATTER.match(line))
        return done

    return run

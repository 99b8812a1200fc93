"""Fixtures shared by all tests, and two virtual CPUs that stand in for two GPUs.

Each file's tests stay on one worker of pytest-xdist, as its fixtures (whole runs) are dear.
"""

import collections
import dataclasses
import functools
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
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
gc.freeze()  # what is imported stays: no collection need look through it


LONG = ("test_experiment", "test_resume", "test_models", "test_networks", "test_data", "test_kills")


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


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


# --- ImageNet ------------------------------------------------------------------------------------

IMAGENET = {"train": 10, "validation": 7}  # images of the small stand-in


@pytest.fixture(scope="session")
def imagenet_dir(tmp_path_factory):
    """Write 10 training and 7 validation images in the format of tfds's imagenet2012."""
    import tensorflow_datasets as tfds

    official = tfds.builder("imagenet2012", data_dir=tmp_path_factory.mktemp("unused"))

    with tfds.core.registered.skip_registration():

        class Imagenet2012(tfds.core.GeneratorBasedBuilder):
            VERSION = official.version

            def _info(self):
                features = {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(num_classes=1000),
                    "file_name": tfds.features.Text(),
                }
                features = tfds.features.FeaturesDict(features)
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, _):
                return {split: self._generate_examples(split) for split in IMAGENET}

            def _generate_examples(self, split):
                rng = np.random.default_rng(len(split))
                for number in range(IMAGENET[split]):
                    image = rng.integers(0, 256, (40 + number, 50, 3), np.uint8)
                    name = f"{split}_{number}.JPEG"
                    yield name, {"image": image, "label": number, "file_name": name}

    directory = tmp_path_factory.mktemp("data")
    Imagenet2012(data_dir=directory).download_and_prepare()
    return directory


# --- runs -----------------------------------------------------------------------------------------

# A run of repro.randomization that takes seconds.
QUICK = {
    "model": "mlp_1x512",
    "dataset": "digits",
    "train_examples": 300,
    "epochs": 4,
    "batch_size": 64,
    "dropout_rate": 0.0,
    "weight_decay": 0.0,
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
    from repro.fields import fields
    from repro.randomization.settings import Train
    from repro.settings import Place

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

    After `timeout` seconds it is killed. Lines that TensorFlow's C++ side wrote are left out of
    `stderr`; `everything` has them too.
    """

    def run(*arguments, timeout=300, **options):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )
        done.everything = done.stderr
        lines = done.stderr.splitlines()
        done.stderr = "\n".join(line for line in lines if not CHATTER.match(line))
        return done

    return run


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended that was sent a signal, and the seconds from the signal to the end."""

    returncode: int
    seconds: float
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def stopped(environment):
    """Start `python ARGUMENTS`, wait until `when()` is true, send a signal; return how it ended.

    stopped("-m", "repro.randomization", ..., when=lambda: (run_dir / "result.json").exists(),
            by=signal.SIGTERM) -> Ended

    `by` is SIGKILL where none is said. `group` sends it to the process and all that it started.
    """

    def stop(*arguments, when, by=signal.SIGKILL, group=False, seconds=180):
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=errors,
                start_new_session=group,
            )
            send = functools.partial(os.killpg if group else os.kill, process.pid)
            try:
                deadline = time.monotonic() + seconds
                while not when():
                    assert process.poll() is None, f"it ended before: {_text(errors)}"
                    assert time.monotonic() < deadline, "what was waited for did not happen"
                    time.sleep(0.002)
                asked = time.monotonic()
                send(by)
                process.wait(60)
                took = time.monotonic() - asked
            finally:
                if process.poll() is None:
                    send(signal.SIGKILL)
                    process.wait()
            return Ended(process.returncode, took, _text(out), _text(errors))

    return stop


def _text(file) -> str:
    file.seek(0)
    return file.read()


@pytest.fixture(scope="session")
def metrics_of():
    """Return the rows of a run's metrics.jsonl without times; [] where there is none yet."""

    def rows(run_dir):
        file = run_dir / "metrics.jsonl"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        whole = (json.loads(line) for line in lines if line.endswith("\n"))
        return [{k: v for k, v in row.items() if k != "seconds"} for row in whole]

    return rows


@pytest.fixture(scope="session")
def state_of():
    """Return all variables of a checkpoint that a run keeps, `final` or another, by name."""

    def variables(run_dir, name="final"):
        reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / name))
        names = set(reader.get_variable_to_shape_map()) - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
        return {name: reader.get_tensor(name) for name in names}

    return variables


@pytest.fixture(scope="session")
def assert_same_run(metrics_of, state_of):
    """Assert that two runs ended with the same bits: metrics, weights, momenta, dropout's state.

    How often each was saved does not count.
    """

    def check(one, other):
        assert metrics_of(one) == metrics_of(other)
        values, again = state_of(one), state_of(other)
        assert set(values) == set(again)
        for name, value in values.items():
            if not name.startswith("save_counter"):
                np.testing.assert_array_equal(value, again[name], err_msg=name)

    return check


def pytest_terminal_summary(terminalreporter):
    """Print how often random models were right or refused, see tests/properties."""
    counts = collections.Counter()
    for report in terminalreporter.getreports("passed"):
        counts.update(dict(report.user_properties).get("cases", {}))
    failed = sum("tests/properties/" in r.nodeid for r in terminalreporter.getreports("failed"))
    if counts or failed:
        outcomes = [f"{n} {outcome}" for outcome, n in sorted(counts.items())]
        outcomes.append(f"{failed} properties wrong")
        terminalreporter.write_line(f"random models: {', '.join(outcomes)}")

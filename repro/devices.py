"""TensorFlow, imported quietly, and the devices that a run computes on."""

import contextlib
import os
import sys

from repro.settings import Settings

# What TensorFlow's C++ side says on every import, whatever its log level. All else gets through.
CHATTER = (
    "WARNING: All log messages before absl::InitializeLog()",
    "oneDNN custom operations are on",
    "Could not find cuda drivers",
    "This TensorFlow binary is optimized",
    "Unable to register cu",
    "To enable the following instructions",
    "failed call to cuInit",
    "computation_placer",
    "TF-TRT Warning",
)


def prepare_devices(settings: Settings):
    """Import TensorFlow, set what is global in it, and return the run's strategy.

    Raises:
      ValueError: a precision that this machine cannot compute in at any useful speed.
      RuntimeError: the devices of the strategy are not there.
    """
    import_tensorflow()
    import keras
    import tensorflow as tf
    from absl import logging

    from repro.training.strategy import get_strategy

    logging.set_verbosity(logging.WARNING)
    logging.get_absl_logger().addFilter(_worth_saying)
    name = getattr(settings, "strategy", None) or "default"
    strategy = get_strategy(name)  # before any operation
    precision = getattr(settings, "precision", "float32")
    if precision == "mixed_float16" and not tf.config.list_physical_devices("GPU"):
        raise ValueError(
            "--precision=mixed_float16 is for GPUs, and takes hundreds of times as long on a "
            "processor: use mixed_bfloat16 or float32"
        )
    keras.mixed_precision.set_global_policy(precision)
    if getattr(settings, "deterministic", False):
        tf.config.experimental.enable_op_determinism()
    return strategy


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that it writes to stderr every time."""
    if "tensorflow" in sys.modules:
        return
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said, _not_there("sklearn", "matplotlib", "pandas"):
        os.dup2(said.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for GPUs, and says so
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            for line in said.read().decode(errors="replace").splitlines():
                if line.strip() and not any(known in line for known in CHATTER):
                    print(line, file=sys.stderr)


@contextlib.contextmanager
def _not_there(*packages: str):
    """Let optional packages seem not to be installed, unless they are imported already.

    Keras has wrappers for them that no run uses, whose import would take every run up to a second.
    """
    left_out = [package for package in packages if package not in sys.modules]
    sys.modules |= dict.fromkeys(left_out)
    try:
        yield
    finally:
        for package in left_out:
            del sys.modules[package]


def _worth_saying(record) -> bool:
    """Whether a line of a library's log says more than our own error, which follows it."""
    return "Variant folder" not in record.getMessage()  # tensorflow-datasets: data not prepared

"""The flags every binary has, how settings are read from them, and how errors end a run."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from absl import flags

from repro.data.datasets import DATASETS
from repro.models import MODELS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow is imported late; keep it quiet

DISK_FULL = "the disk is full; free some space, run the same command again, and the run goes on"
# Flags that say where or how a run is made, and not what is computed: no part of its identity.
PLACES = ("data_dir", "download")
HOUSEKEEPING = (
    *PLACES, "output_dir", "run_dir", "checkpoint_every", "wandb_project", "profile_dir",
)  # fmt: skip


def define(model: str | None, dataset: str) -> None:
    """Define the flags of a binary that trains by the suite's loop, with its default network."""
    define_run(checkpoint_unit="Epochs")
    define_images(model, dataset)
    flags.DEFINE_string(
        "test_split", "test",
        "What to test on, such as train[45000:]; held_out: what --train_examples leaves out.",
    )
    flags.DEFINE_integer(
        "train_examples", None, "Train on a class-balanced subset of this size.", lower_bound=1
    )
    flags.DEFINE_enum(
        "precision", "float32", ["float32", "mixed_bfloat16", "mixed_float16"],
        "What layers compute in; weights and logits stay float32.",
    )
    flags.DEFINE_bool("xla", False, "Compile forward and backward pass with XLA.")

    @flags.multi_flags_validator(
        ["xla", "deterministic"], "--xla and --deterministic exclude each other: choose one"
    )
    def _(values):
        return not (values["xla"] and values["deterministic"])


def define_images(model: str | None, dataset: str) -> None:
    """Define what any binary with networks and images has: which, where the data is, devices."""
    flags.DEFINE_enum("model", model, list(MODELS), "Network.")
    flags.DEFINE_enum("dataset", dataset, list(DATASETS), "Dataset.")
    flags.DEFINE_string("train_split", "train", "What to train on: a tfds split string.")
    flags.DEFINE_enum(
        "strategy", "default", ["default", "mirrored", "multi_worker", "tpu"],
        "default: one device. mirrored: all GPUs here. multi_worker: per TF_CONFIG.",
    )
    flags.DEFINE_bool("deterministic", False, "Only deterministic kernels, also on GPUs; slower.")
    flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
    flags.DEFINE_bool("download", True, "Let tensorflow-datasets download what is missing.")


def define_run(checkpoint_unit: str, checkpoint_every: int = 1) -> None:
    """Define the flags of any binary: its seed, where its run goes, who watches.

    Args:
      checkpoint_unit: what --checkpoint_every counts.
      checkpoint_every: its default.
    """
    flags.DEFINE_integer("seed", 0, "Of everything random.", lower_bound=0)
    flags.DEFINE_string("output_dir", "outputs", "Runs land in <output_dir>/<binary>/<settings>.")
    flags.DEFINE_string("run_dir", None, "The exact directory of this run.")
    flags.DEFINE_integer(
        "checkpoint_every", checkpoint_every, f"{checkpoint_unit} between checkpoints.",
        lower_bound=1,
    )  # fmt: skip
    flags.DEFINE_string("wandb_project", None, "TensorBoard goes to this W&B project too.")
    flags.DEFINE_string("profile_dir", None, "Write a TensorFlow profile of training there.")


def values() -> dict:
    """Return all flags of the binary that runs, in order of name."""
    key_flags = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    return {flag.name: flag.value for flag in sorted(key_flags, key=lambda flag: flag.name)}


def settings(values: Mapping) -> dict:
    """Return the flags a result depends on."""
    return {name: value for name, value in values.items() if name not in HOUSEKEEPING}


def reject_stray_arguments(argv: list[str]) -> None:
    """Raise a usage error for arguments that are no flags."""
    from absl import app

    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}; flags are --name=value")


def end_with_one_line(main: Callable) -> Callable:
    """Wrap a binary's main so that a user's mistake ends in one line instead of a traceback."""

    def wrapped(argv):
        from repro.data.datasets import MissingDataError

        try:
            main(argv)
        except (ValueError, MissingDataError, RuntimeError) as error:
            sys.exit(f"error: {error}")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            sys.exit(f"error: {DISK_FULL}")
        except Exception as error:  # TensorFlow wraps the errors of its file system
            if "No space left on device" not in str(error):
                raise
            sys.exit(f"error: {DISK_FULL}")

    return wrapped


def run_binary(
    module: str,
    values: Mapping,
    unsaid: Mapping,
    tuned_file: Path,
    name: str,
    run: Callable[..., dict],
    *,
    wait: bool = False,
) -> dict:
    """Fill what is unsaid, take the run directory, run what is not complete, write the result.

    Args:
      module: of the binary, such as `repro.randomization`.
      values: all flags by name.
      unsaid: flags the paper leaves unsaid -> documented defaults.
      tuned_file: what sweeps have found for them.
      name: readable part of the run directory's name.
      run: the experiment; called with the settings, where the data is, `run_directory`,
        `environment`, and `strategy` where the binary has such a flag.
      wait: wait for another process that makes the same run, rather than raise.

    Returns:
      The result, also of a run that was complete before.
    """
    from absl import logging

    from repro import tuning

    logging.set_verbosity(logging.WARNING)
    tuned_key = values.get("model", "")
    filled, source = tuning.fill_unsaid(settings(values), unsaid, tuned_file, tuned_key)
    if source:
        print("unsaid by the paper: " + ", ".join(
            f"{flag}={filled[flag]:g} ({origin})" for flag, origin in source.items()
        ))

    import tensorflow as tf

    from repro.training import provenance, runs
    from repro.training.strategy import get_strategy, is_chief

    strategy_name = values.get("strategy", "default")
    strategy = get_strategy(strategy_name)  # before any operation, as multi_worker needs
    if values.get("deterministic"):
        tf.config.experimental.enable_op_determinism()
    path = values["run_dir"] or "/".join(
        [values["output_dir"], module.split(".")[-1], f"{name}-{runs.settings_hash(filled)}"]
    )
    places = {flag: values[flag] for flag in PLACES if flag in values}
    chief = is_chief(strategy)
    directory = runs.RunDirectory(path, filled, places=places, chief=chief, wait=wait)
    result = directory.result()
    if result is None:
        _follow(values, path)
        devices = [device.name for device in tf.config.list_logical_devices()]
        distributed = {"strategy": strategy} if "strategy" in values else {}
        with _profile(values["profile_dir"]):
            result = run(
                **{**filled, **places, **distributed},
                checkpoint_every=values["checkpoint_every"],
                run_directory=directory,
                environment=provenance.environment(strategy_name, devices, module),
            )
        result = directory.finish({**result, "settings": filled, "unsaid": source})
    else:
        directory.close()
        print("complete already")
    shown = (
        "summary", "status", "epochs", "iterations", "train_loss", "train_accuracy",
        "test_accuracy",
    )  # fmt: skip
    print("  ".join(f"{key} {result[key]}" for key in shown if key in result))
    print(f"result: {directory.path / 'result.json'}")
    return result


@contextlib.contextmanager
def _profile(profile_dir: str | None):
    """Record a TensorFlow profile where one is asked for."""
    import tensorflow as tf

    if profile_dir:
        tf.profiler.experimental.start(profile_dir)
    yield
    if profile_dir:
        tf.profiler.experimental.stop()


def _follow(values: Mapping, path: str) -> None:
    """Turn on what watches a run from outside: Weights & Biases."""
    if values["wandb_project"]:
        import wandb

        wandb.init(project=values["wandb_project"], name=path, sync_tensorboard=True)

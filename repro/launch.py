"""The one door of every binary: from flags to settings, to a run directory, to a result.

`python -m repro.<paper>` calls `launch` with the paper's settings classes. Whoever needs a run from
within a process calls `make` with settings: a test, a tool, or a run that needs another one.
"""

import contextlib
import dataclasses
import errno
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from absl import flags as absl_flags

from repro import papers
from repro import settings as settings_
from repro.settings import Place, Settings, as_dict, base_type, fields, flag_name

DISK_FULL = "the disk is full; free some space, run the same command again, and the run goes on"
SECONDS_BETWEEN_LOOKS = 2  # at the result of a run that another worker finishes


def launch(stages: Mapping[str, type[Settings]], argv: Sequence[str] | None = None) -> None:
    """Run a paper's binary: read the flags, make the run, print its result.

    A mistake of the user ends in one line on stderr and exit status 1, or 2 for flags.

    Args:
      stages: the paper's settings classes by stage, the default one first.
      argv: the command line; None: that of this process.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if _asks_for_help(arguments):
            print(usage(stages, arguments), flush=True)
            return
        settings, place = parse(stages, arguments)
    except BrokenPipeError:  # help, read by a pager that was left
        sys.stdout = None
        return
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    with one_line_errors():
        make(settings, place)


def make(settings: Settings, place: Place, *, home: os.PathLike | None = None, wait: bool = False):
    """Make the run of these settings, or find it, and return its run directory, complete.

    Args:
      settings: as asked for; `settings.settle` completes them.
      place: where it goes.
      home: the folder of its directory; None: <output_dir>/<paper>.
      wait: wait for another process that makes the same run, rather than raise.

    Raises:
      ValueError, RuntimeError, MissingDataError: see the paper's settings and experiment.
    """
    settings, unsaid = settings_.settle(settings)
    if unsaid:
        print(
            "unsaid by the paper: "
            + ", ".join(
                f"{name}={getattr(settings, name)} ({origin})" for name, origin in unsaid.items()
            )
        )
    strategy = prepare_devices(settings)

    from repro.training.runs import Job, RunDirectory
    from repro.training.strategy import is_chief

    home = os.path.join(place.output_dir, settings.paper) if home is None else home
    path = place.run_dir or os.path.join(home, settings_.name(settings))
    directory = RunDirectory(
        path,
        as_dict(settings),
        places={"data_dir": place.data_dir, "download": place.download},
        environment=_environment(settings),
        chief=is_chief(strategy),
        wait=wait or place.wait,
    )

    def need(other: Settings) -> RunDirectory:
        """Return the directory of another run beside this one, made where it is missing."""
        there = dataclasses.replace(place, run_dir=None, wandb_project=None, profile_dir=None)
        try:
            return make(other, there, home=directory.path.parent, wait=True)
        finally:
            prepare_devices(settings)  # the other run may have set another precision

    try:
        result = directory.result()
        if result is None:
            with _watched(place, str(path)):
                experiment = papers.module(settings.paper, "experiment")
                job = Job(
                    directory=directory,
                    strategy=strategy,
                    data_dir=place.data_dir,
                    download=place.download,
                    checkpoint_every=place.checkpoint_every,
                    need=need,
                )
                result = experiment.run(settings, job)
            directory.record(code=_code())
            status = {"status": "complete"}
            result = status | result | {"settings": as_dict(settings), "unsaid": unsaid}
            result = directory.finish(result)
            # The chief's result comes last, and is wanted where another run needs this one.
            while wait and not directory.chief and directory.result() is None:
                time.sleep(SECONDS_BETWEEN_LOOKS)
        elif not wait:  # what another run needs and finds is no news
            print("complete already")
    finally:
        directory.close()
    if not wait:
        _say(result, directory)
    return directory


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
    strategy = get_strategy(getattr(settings, "strategy", "default"))  # before any operation
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


# --- flags ----------------------------------------------------------------------------------------


def parse(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> tuple[Settings, Place]:
    """Return what a command line says, flag files included.

    Raises:
      ValueError: one line on what is wrong with a flag.
    """
    arguments = _flattened(arguments)
    kind = _stage_of(stages, arguments)
    arguments = [_with_value(argument, kind) for argument in arguments]
    _refuse_foreign(arguments, kind, stages)
    values = _defined(kind, stages)
    try:
        rest = values(["", *arguments])
    except absl_flags.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise ValueError(f"unexpected arguments: {' '.join(rest[1:])}; flags are --name=value")
    given = {name: values[name].value for name in values}
    place = {f.name: given[f.name] for f, _ in fields(Place)}
    own = {flag_name(f): given[flag_name(f)] for f, _ in fields(kind)}
    return settings_.from_dict(stages, {"stage": kind.stage, **own}), Place(**place)


def usage(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> str:
    """Return the help of a binary: all flags of the stage that the arguments name."""
    kind = _stage_of(stages, arguments)
    lines = [kind.__doc__ or "", "", f"python -m repro.{kind.paper} [--name=value ...]", ""]
    if len(stages) > 1:
        lines += [
            f"--stage={'|'.join(stages)}  (default {next(iter(stages))}; here {kind.stage})",
            "    What is done; --stage=NAME --help lists the flags of another one.",
            "",
        ]
    for title, owner in (("What is computed", kind), ("Where, and who watches", Place)):
        lines += [f"{title}:", ""]
        for field, _ in fields(owner):
            lines += _usage_of(field)
        lines.append("")
    lines.append("--flagfile=FILE reads flags from a file, such as a run's flags.cfg.")
    return "\n".join(lines)


def _usage_of(field: dataclasses.Field) -> list[str]:
    said, default = field.metadata, field.default
    default = said["unsaid"] if default is None else default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    notes = [] if default is None else [f"default {shown}"]
    notes += ["unsaid by the paper"] if said["unsaid"] is not None else []
    notes += [said["unit"]] if said["unit"] else []
    notes += [f"above {said['above']:g}"] if said["above"] is not None else []
    notes += [f"from {said['low']:g}"] if said["low"] is not None else []
    notes += [f"up to {said['high']:g}"] if said["high"] is not None else []
    lines = [f"  --{flag_name(field)}" + (f"  ({', '.join(notes)})" if notes else "")]
    lines.append(f"      {said['help']}")
    if said["choices"] is not None:
        lines.append(f"      One of: {', '.join(map(str, said['choices']))}.")
    return lines


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return any(a in ("--help", "-help", "-h", "--helpfull", "--helpshort") for a in arguments)


def _flattened(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those of flag files in place."""
    reader = absl_flags.FlagValues()
    absl_flags.DEFINE_string("flagfile", "", "", flag_values=reader)
    try:
        return reader.read_flags_from_files(list(arguments), force_gnu=True)
    except (absl_flags.Error, OSError) as error:
        raise ValueError(f"cannot read a flag file: {error}") from error


def _stage_of(stages: Mapping[str, type[Settings]], arguments: Sequence[str]) -> type[Settings]:
    stage = next(iter(stages))
    for argument, following in zip(arguments, [*arguments[1:], ""]):
        if argument.startswith(("--stage=", "-stage=")):
            stage = argument.split("=", 1)[1]
        elif argument in ("--stage", "-stage"):
            stage = following
    return settings_.of_stage(stages, stage)


def _with_value(argument: str, kind: type[Settings]) -> str:
    """Give a flag without a value the one that it stands for, where there is one."""
    bare = {f"--{flag_name(f)}": f.metadata["bare"] for f, _ in fields(kind) if f.metadata["bare"]}
    return f"{argument}={bare[argument]}" if argument in bare else argument


def _refuse_foreign(arguments, kind: type[Settings], stages) -> None:
    known = {flag_name(f) for owner in (kind, Place) for f, _ in fields(owner)} | {"stage"}
    for argument in arguments:
        name = argument.lstrip("-").split("=", 1)[0]
        if argument.startswith("-") and name not in known and name.removeprefix("no") not in known:
            raise ValueError(settings_.unknown(name, kind, stages))


def _defined(kind: type[Settings], stages: Mapping) -> absl_flags.FlagValues:
    """Return absl flags for all fields of a stage and of Place."""
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_enum("stage", kind.stage, list(stages), "What is done.", flag_values=values)
    for field, type_ in [*fields(kind), *fields(Place)]:
        type_, help_ = base_type(type_), field.metadata["help"]
        define = {
            bool: absl_flags.DEFINE_bool,
            int: absl_flags.DEFINE_integer,
            float: absl_flags.DEFINE_float,
            str: absl_flags.DEFINE_string,
        }.get(type_, absl_flags.DEFINE_list)
        default = field.default
        default = list(map(str, default)) if isinstance(default, tuple) else default
        define(flag_name(field), default, help_, flag_values=values)
    return values


# --- around a run ---------------------------------------------------------------------------------


@contextlib.contextmanager
def one_line_errors():
    """End the process with one line, instead of a traceback, where a user can mend what failed."""
    from repro.data.datasets import MissingDataError

    try:
        yield
    except (ValueError, MissingDataError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"error: {DISK_FULL}")
    except Exception as error:  # TensorFlow wraps the errors of its file system
        if "No space left on device" not in str(error):
            raise
        sys.exit(f"error: {DISK_FULL}")


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


def import_tensorflow() -> None:
    """Import TensorFlow without the lines that it writes to stderr every time."""
    if "tensorflow" in sys.modules:
        return
    import tempfile

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
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


def _worth_saying(record) -> bool:
    """Whether a line of a library's log says more than our own error, which follows it."""
    return "Variant folder" not in record.getMessage()  # tensorflow-datasets: data not prepared


def _environment(settings: Settings) -> dict:
    import tensorflow as tf

    from repro.training import provenance

    devices = [device.name for device in tf.config.list_logical_devices()]
    name = getattr(settings, "strategy", "default")
    return provenance.environment(name, devices, settings.paper)


def _code() -> dict[str, str]:
    from repro.training import provenance

    return provenance.code()


@contextlib.contextmanager
def _watched(place: Place, path: str):
    """Let Weights & Biases and TensorFlow's profiler watch, where they are asked to."""
    import tensorflow as tf

    if place.wandb_project:
        import wandb

        wandb.init(project=place.wandb_project, name=path, sync_tensorboard=True)
    if place.profile_dir:
        tf.profiler.experimental.start(place.profile_dir)
    yield
    if place.profile_dir:
        tf.profiler.experimental.stop()


def _say(result: Mapping, directory) -> None:
    shown = (
        "summary",
        "status",
        "epochs",
        "iterations",
        "train_loss",
        "train_accuracy",
        "test_accuracy",
    )
    print("  ".join(f"{key} {result[key]}" for key in shown if key in result))
    print(f"result: {directory.path / 'result.json'}", flush=True)

"""The one door of every binary: from flags to settings, to a run directory, to a result.

`python -m repro.<paper>` calls `launch` with the paper's settings classes. Whoever needs a run from
within a process calls `make` with settings: a test, a tool, or a run that needs another one.
"""

import contextlib
import dataclasses
import errno
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence

from repro import INTERRUPTED, command_line, papers, tuning
from repro import settings as settings_
from repro.devices import prepare_devices
from repro.settings import Place, Settings, as_dict
from repro.training import signals

DISK_FULL = "the disk is full; free some space, run the same command again, and the run goes on"
FILES = (  # errors of files that a user can mend
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EDQUOT, errno.ESTALE),
    *(errno.ENOSPC, errno.EISDIR, errno.ENOTDIR, errno.ENOENT, errno.EMFILE),
)
LOST_WORKER = "another worker was lost; start the same command on all again, and the run goes on"
SECONDS_BETWEEN_LOOKS = 2  # at the result of a run that another worker finishes


def launch(stages: Mapping[str, type[Settings]], argv: Sequence[str] | None = None) -> None:
    """Run a paper's binary: read the flags, make the run, print its result.

    A mistake of the user ends in one line on stderr and exit status 1, or 2 for flags; a run that
    another process is making, in 75, which means try again later. SIGINT, SIGTERM and SIGHUP end it
    in one line too, with 128 and their number, and what was saved stands.

    Args:
      stages: the paper's settings classes by stage, the default one first.
      argv: the command line; None: that of this process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with one_line_errors():
        try:
            if command_line.asks_for_help(arguments):
                print(command_line.usage(stages, arguments), flush=True)
                return
            settings, place = command_line.parse(stages, arguments)
        except BrokenPipeError:  # help, read by a pager that was left
            sys.stdout = None
            return
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
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
        _say_sweeps_of_others(settings, unsaid)
    strategy = prepare_devices(settings)

    from repro.training import provenance
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
            with _watched(place, settings, directory) as watched:
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
                for tell in watched:
                    tell(result)
            directory.record(code=provenance.code())
            result = {"status": "complete"} | result
            result = directory.finish(result | {"settings": as_dict(settings), "unsaid": unsaid})
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


# --- around a run ---------------------------------------------------------------------------------


@contextlib.contextmanager
def one_line_errors():
    """End the process with one line, instead of a traceback, where a user can mend what failed.

    And where SIGINT, SIGTERM or SIGHUP asks it to end.
    """
    try:
        with signals.heard(signals.interrupt), _one_line_of_errors():
            yield
    except KeyboardInterrupt as asked:
        number = getattr(asked, "number", signal.SIGINT)
        for each in signals.SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # another one ends what Python does at its end
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(128 + number)


@contextlib.contextmanager
def _one_line_of_errors():
    from repro.data.datasets import MissingDataError
    from repro.training.locks import HeldError

    try:
        yield
    except HeldError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(os.EX_TEMPFAIL)  # tells whoever made many runs to try this one again later
    except (ValueError, MissingDataError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except OSError as error:
        sys.exit(f"error: {_of_file(error.errno, error.filename, str(error))}")
    except Exception as error:  # TensorFlow wraps the errors of its file system, and of workers
        for number in FILES:
            if found := re.search(rf"(?:(\S+); )?{os.strerror(number)}", str(error)):
                sys.exit(f"error: {_of_file(number, found[1], str(error))}")
        if "Collective ops is aborted" in str(error):
            sys.exit(f"error: {LOST_WORKER}")
        raise


def _say_sweeps_of_others(settings: Settings, unsaid: Mapping[str, str]) -> None:
    """Say that sweeps found values for what is unsaid here, but of other runs than this one."""
    defaults = {name for name, origin in unsaid.items() if origin == "default"}
    found = tuning.read(settings_.tuned_file_of(settings.paper))
    others = [name for name, sweep in found.items() if defaults & set(sweep["values"])]
    if others:
        print(f"there are sweeps, of other runs than this one: {', '.join(others)}")


def _of_file(number: int | None, file, text: str) -> str:
    """Return in one line what an error of the operating system says, with its file."""
    again = "run the same command again once that is mended, and the run goes on"
    if number == errno.ENOSPC:
        text = DISK_FULL
    elif number in FILES:
        text = f"{os.strerror(number).lower()}; {again}"
    return " ".join(f"{file}: {text}".split()) if file and number in FILES else text


def _environment(settings: Settings) -> dict:
    """Return what environment.json says of this process at the start of a run."""
    import tensorflow as tf

    from repro.training import provenance

    devices = [device.name for device in tf.config.list_logical_devices()]
    name = getattr(settings, "strategy", None) or "default"
    return provenance.environment(name, devices, settings.paper)


@contextlib.contextmanager
def _watched(place: Place, settings: Settings, directory):
    """Let Weights & Biases and TensorFlow's profiler watch; yield who wants to know the result."""
    import tensorflow as tf

    from repro.training import trackers

    with contextlib.ExitStack() as stack:
        told = []
        if place.wandb_project and directory.chief:
            group = place.wandb_group or settings.paper
            tracker = trackers.weights_and_biases(directory, place.wandb_project, group)
            told.append(stack.enter_context(tracker))
        if place.profile_dir:
            tf.profiler.experimental.start(place.profile_dir)
            stack.callback(tf.profiler.experimental.stop)
        yield told


def _say(result: Mapping, directory) -> None:
    shown = ("summary", "status", "epochs", "iterations")
    shown += ("train_loss", "train_accuracy", "test_accuracy")
    print("  ".join(f"{key} {result[key]}" for key in shown if key in result))
    print(f"result: {directory.path / 'result.json'}", flush=True)

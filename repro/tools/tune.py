"""Find what a paper leaves unsaid, by a keras-tuner sweep.

    tools/tune randomization --model=mlp_1x512 --data_dir=DIR
    tools/tune randomization --model=inception --tuner=hyperband --epochs=27
    tools/tune stability --sweep=gain --tuner=grid --data_dir=DIR

Each paper has sweeps of its own, which `tools/tune PAPER --help` lists: what is searched, and by
what it is judged. Each trial is one run of the binary, in the directory that its settings name, as
if the binary had been called by hand; all flags of the binary may be given, and hold for all
trials. The same command again goes on where a killed sweep was, inside a run too; more --trials
lengthen a finished sweep.

Where a sweep is judged by accuracy, it is that on training examples that the trial does not train
on: never on test data. By default these are a last part of the training set (--train_split,
--test_split); digits has no slices, so there --train_examples, by default nine tenths, are drawn
class-balanced and the others held out (--test_split=held_out). Other sweeps are judged by what the
paper published, and say by which number. Documented defaults are tried first. A trial that diverged
is worse than any other. Hyperband's longer trials train from the start again,
as runs of different lengths are different runs.

The best values land in configs/<paper>/tuned.json, with all trials and the protocol, and the page
of the paper shows them. What randomization's sweep `unsaid` found is used by later runs of the same
network on true labels of the same data, with the same flags where flags were given, and they say
so; all else is for the reader to use.

Distributed, one chief and any number of workers run the same command and share --output_dir:

    export KERASTUNER_ORACLE_IP=10.0.0.1 KERASTUNER_ORACLE_PORT=8000     # of the chief; 127.0.0.1
    KERASTUNER_TUNER_ID=chief   tools/tune randomization --model=mlp_1x512
    KERASTUNER_TUNER_ID=worker0 tools/tune randomization --model=mlp_1x512
    KERASTUNER_TUNER_ID=worker1 CUDA_VISIBLE_DEVICES=1 tools/tune randomization --model=mlp_1x512

The chief computes nothing, writes tuned.json and ends up to 21 s after the last trial. Its port is
open to everyone who reaches it: use a private network. If a worker dies, the chief waits for it
(keras-tuner#915): stop all and run the same commands again, and the sweep goes on.
"""

import argparse
import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from repro import files, papers, tuning
from repro import settings as settings_
from repro.fields import flag_lines
from repro.launch import one_line_errors
from repro.reporting.sweeps import shortly
from repro.settings import Settings, as_dict
from repro.tools.executors import process
from repro.tuning import Sweep

DIGITS_TRAIN_EXAMPLES = 1294  # nine tenths of its 1,438
HELD_OUT = "held_out"
SLICE = re.compile(r"train(\[(?P<low>\d+%?)?:(?P<high>\d+%?)?\])?")
OWN = ("model", "dataset", "train_examples")  # flags that names of sweeps say in words
SAME = ("seed", "strategy", "test_split")  # flags whose values leave what is found as it is


def trial_flags(sweep: Sweep, given: Mapping[str, str]) -> dict:
    """Return the flags that all trials of a sweep share, but for the values it tries.

    Args:
      sweep: the sweep.
      given: flags of the command line.

    Raises:
      ValueError: a flag is what the sweep tries, or the objective would not be measured on
        held-out training data.
    """
    for name in sweep.space:
        if name in given:
            raise ValueError(f"--{name} is what this sweep tries: leave it out")
    flags = {**sweep.flags, **given}
    if sweep.splits is None:
        return flags
    if flags.get("dataset") == "digits":
        flags = {"train_examples": DIGITS_TRAIN_EXAMPLES, "train_split": "train"} | flags
        flags = {"test_split": HELD_OUT} | flags
    else:
        flags = dict(zip(("train_split", "test_split"), sweep.splits)) | flags
    if not apart(flags["train_split"], flags["test_split"]):
        raise ValueError(
            f"--train_split={flags['train_split']} and --test_split={flags['test_split']} must be "
            "different parts of the training data, both in percent or both in numbers of images, "
            f"such as {' and '.join(sweep.splits)}"
        )
    return flags


def apart(train: str, held_out: str) -> bool:
    """Whether two split strings are slices of the training data that have nothing in common."""
    if held_out == HELD_OUT:  # what --train_examples leaves out of train
        return SLICE.fullmatch(train) is not None
    ends = []
    for split in (train, held_out):
        match = SLICE.fullmatch(split)
        if match is None or (match["low"] is None and match["high"] is None):
            return False  # no slice of the training data, or all of it
        texts = [match["low"], match["high"]]
        if len({text.endswith("%") for text in texts if text}) > 1:
            return False
        low, high = (int(text.rstrip("%")) if text else None for text in texts)
        percent = any(text and text.endswith("%") for text in texts)
        ends.append((percent, low or 0, math.inf if high is None else high))
    (percent, low, high), (other_percent, other_low, other_high) = ends
    return percent == other_percent and (high <= other_low or other_high <= low)


def trial_settings(paper: str, flags: Mapping, values: Mapping, epochs: int | None) -> Settings:
    """Return the settings of one trial; what has epochs is measured once, at its end."""
    asked = {**flags, **values}
    if epochs is not None:
        asked = {"eval_every": epochs} | asked | {"epochs": epochs}
    return settings_.settle(settings_.from_dict(papers.stages(paper), asked))[0]


def run_trial(trial: Settings, output_dir: Path, places: Mapping) -> Path:
    """Make the run of one trial, or find it complete, and return its directory.

    A run that a killed sweep left behind and that is still alive is waited for.

    Raises:
      RuntimeError: the run failed; the message is its last line.
      ValueError: it is complete, but its files are damaged.
    """
    from repro.training import checksums

    path = output_dir / trial.paper / settings_.name(trial)
    if (path / "result.json").exists():
        checksums.check(path)
        return path
    path.mkdir(parents=True, exist_ok=True)
    flags = {**as_dict(trial), **places, "output_dir": output_dir, "wait": True}
    command = [sys.executable, "-m", f"repro.{trial.paper}", *flag_lines(flags)]
    with process.log_of(path).open("a+") as log:
        done = subprocess.run(command, stdout=log, stderr=log)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise RuntimeError(f"a trial was ended by {name}; the same command goes on with it")
    if done.returncode:
        said = process.last_words(path / "log.txt") or "no output"
        raise RuntimeError(f"{said} (a trial failed; see {path / 'log.txt'})")
    return path


def _json(file: Path) -> dict:
    return json.loads(files.read(file))


def name_of(sweep_name: str, trial: Settings, given: Mapping[str, str]) -> str:
    """Return what a sweep is called in tuned.json: by its name, and all that was asked of it."""
    said = as_dict(trial)
    parts = [sweep_name, *(str(said[key]) for key in ("model", "dataset") if said.get(key))]
    if "train_examples" in given:
        parts.append(f"n{said['train_examples']}")
    others = sorted(set(given) - {*OWN, *SAME})
    return "-".join([*parts, *(f"{name}={given[name]}" for name in others)])


def entry(sweep: Sweep, flags: Mapping, given: Mapping, arguments, trials, best_dir: Path) -> dict:
    """Return what tuned.json says about a sweep."""
    winner, result = tuning.best(trials), _json(best_dir / "result.json")
    environment = _json(best_dir / "environment.json")
    said = result["settings"]
    applies_to = dict.fromkeys([*sweep.applies_to, *(set(given) - set(SAME))])
    return {
        "says": sweep.says,
        "values": winner.values,
        "objective": winner.objective,
        "judged_by": sweep.judged_by,
        "applies_to": {key: said[key] for key in sorted(applies_to)} if sweep.applies_to else None,
        "protocol": {
            **{key: said.get(key) for key in ("model", "dataset", "learning_rate")},
            **{key: said.get(key, value) for key, value in flags.items()},
            "train_examples": result.get("train_examples"),
            "held_out_examples": result.get("test_examples") if sweep.splits else None,
            "epochs": arguments.epochs,
            "seed": arguments.seed,
            "tuner": arguments.tuner,
            "space": {key: list(values) for key, values in sweep.space.items()},
            "versions": environment["versions"],
            "commit": environment["commit"],
        },
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }


def tune(arguments: argparse.Namespace, given: Mapping[str, str]) -> None:
    """Run a sweep and record it.

    Args:
      arguments: of this command.
      given: flags of the paper's binary.

    Raises:
      ValueError: bad flags or splits, or a tuned.json that is none.
      RuntimeError: a trial failed.
    """
    paper, sweep = arguments.paper, sweeps(arguments.paper)[arguments.sweep]
    if sweep.epochs is None and (arguments.epochs or arguments.tuner == "hyperband"):
        raise ValueError(
            f"--sweep={arguments.sweep} has no --epochs, and no --tuner=hyperband: its flags say "
            "how long a trial takes"
        )
    arguments.epochs = arguments.epochs or sweep.epochs
    given = {**given, "seed": str(arguments.seed)}
    flags = trial_flags(sweep, given)
    defaults = {key: values[0] for key, values in sweep.space.items()}
    key = name_of(arguments.sweep, trial_settings(paper, flags, defaults, arguments.epochs), given)
    file = arguments.tuned_file or settings_.tuned_file_of(paper)
    tuning.read(file)  # a damaged one is said before hours of work
    places = {"data_dir": arguments.data_dir, "download": arguments.download}
    numbers = iter(range(1, 10**6))

    def settled(trial: tuning.Trial) -> Settings:
        return trial_settings(
            paper, flags, trial.values, None if sweep.epochs is None else trial.epochs
        )

    def run(values: dict, epochs: int) -> float:
        shown = ", ".join(f"{name}={shortly(value)}" for name, value in values.items())
        length = f", {epochs} epochs" if sweep.epochs else ""
        print(f"trial {next(numbers)}: {shown}{length}", end="  ", flush=True)
        trial = settled(tuning.Trial(values, epochs, 0.0))
        try:
            path = run_trial(trial, arguments.output_dir, places)
            objective = sweep.of(_json(path / "result.json"))
        except RuntimeError as error:
            if "diverged" not in str(error):  # as where a curve that is to be measured has
                raise
            objective = sweep.diverged
        print(f"{objective:.4f}", flush=True)
        return objective

    print(f"{sweep.says}; judged by the {sweep.judged_by}")
    trials = tuning.sweep(
        run,
        sweep.space,
        tuner=arguments.tuner,
        trials=arguments.trials,
        epochs=arguments.epochs or 1,
        seed=arguments.seed,
        directory=arguments.output_dir / "keras_tuner" / re.sub(r"[^\w.=-]", "_", f"{paper}-{key}"),
    )
    if tuning.is_worker():
        return
    if not trials:
        raise RuntimeError("no trial was completed")
    winner = tuning.best(trials)
    found_in = arguments.output_dir / paper / settings_.name(settled(winner))
    tuning.record(file, key, entry(sweep, flags, given, arguments, trials, found_in))
    found = ", ".join(f"{name}={shortly(value)}" for name, value in winner.values.items())
    print(f"best of {len(trials)} trials: {found}: {winner.objective:.4f}; wrote {file}")


def sweeps(paper: str) -> dict[str, Sweep]:
    """Return the sweeps of a paper by name, the default one first."""
    return papers.module(paper, "sweeps").SWEEPS


def usage(paper: str) -> str:
    """Return one line a sweep of a paper."""
    return "\n".join(
        f"  {name}: {sweep.says} ({', '.join(sweep.space)}); judged by the {sweep.judged_by}"
        for name, sweep in sweeps(paper).items()
    )


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tools/tune",
        allow_abbrev=False,
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        usage="tools/tune PAPER [--sweep=NAME] [options] [--FLAG=VALUE ...]; --help lists them",
    )
    add = parser.add_argument
    add("paper", choices=papers.PAPERS)
    add("--sweep", help="what is searched; default: the first of the paper")
    add("--tuner", choices=tuning.TUNERS, default="random", help="default: random")
    add("--trials", type=_positive, help="default: 20; all there are for grid and hyperband")
    add(
        "--epochs", type=_positive, help="of a trial, hyperband's longest; default: the sweep's own"
    )
    add("--seed", type=int, default=0, help="of the search and of every trial; default: 0")
    add("--data_dir", help="where tensorflow-datasets keeps prepared data")
    add("--download", choices=("true", "false"), default="true", help="may data be fetched")
    add("--output_dir", type=Path, default=Path("outputs"), help="default: outputs")
    add("--tuned_file", type=Path, help="default: configs/<paper>/tuned.json")
    if len(sys.argv) > 1 and sys.argv[1] in papers.PAPERS:
        parser.description = f"{__doc__}\nSweeps of {sys.argv[1]}:\n\n{usage(sys.argv[1])}\n"
    arguments, rest = parser.parse_known_args()
    known = sweeps(arguments.paper)
    arguments.sweep = arguments.sweep or next(iter(known))
    if arguments.sweep not in known:
        parser.error(f"--sweep={arguments.sweep} is none of {', '.join(known)}")
    given = {}
    for flag in rest:
        name, equals, value = flag.removeprefix("--").partition("=")
        if not (flag.startswith("--") and equals):
            parser.error(f"{flag}: flags of the binary are --name=value")
        given[name] = value
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tune(arguments, given)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"\nerror: {error}")
    except KeyboardInterrupt:  # its run is ended too
        print(flush=True)
        raise


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    main()

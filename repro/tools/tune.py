"""Find what a paper leaves unsaid: a keras-tuner sweep on a held-out part of the training data.

    tools/tune randomization --model=mlp_1x512 --data_dir=DIR
    tools/tune randomization --model=inception --tuner=hyperband --epochs=27

Each trial is one run of the binary on true labels, in the directory that its settings name, as if
the binary had been called by hand. The same command again goes on where a killed sweep was, inside
a run too; more --trials lengthen a finished sweep. The objective is the accuracy, after the last
epoch, on training examples that the trial does not train on: never on test data. By default these
are the last tenth of the training set (--train_split, --test_split); digits has no slices, so there
--train_examples, by default nine tenths, are drawn class-balanced by --seed and the others held out
(--test_split=held_out). A diverged trial has the objective 0. Hyperband's longer trials train from
the start again, as runs of different lengths are different runs.

The best values land in configs/<paper>/tuned.json under the model's name, with all trials and the
protocol; runs of that model on the same dataset with true labels then use them.

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
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from repro import papers, tuning
from repro import settings as settings_
from repro.data.datasets import DATASETS
from repro.fields import flag_lines
from repro.launch import one_line_errors
from repro.models import MODELS
from repro.settings import CONFIGS, Settings, as_dict

# paper -> what it leaves unsaid, the documented default first. No learning rates: they are said.
SPACES = {
    "randomization": {
        "batch_size": [128, 32, 64, 256],
        "dropout_rate": [0.0, 0.1, 0.2, 0.3, 0.4, 0.5],
        "weight_decay": [0.0, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3],
    },
}
APPLIES_TO = {"randomization": {"corruption": "none"}}  # flags of all trials
DIGITS_TRAIN_EXAMPLES = 1294  # nine tenths of its 1,438
HELD_OUT = "held_out"
SPLITS = {"train_split": "train[:90%]", "test_split": "train[90%:]"}


def trial_flags(arguments: argparse.Namespace) -> dict:
    """Return the flags that all trials of a sweep share, but for the values it tries.

    Raises:
      ValueError: the objective would not be measured on held-out training data.
    """
    names = (
        "model",
        "dataset",
        "train_split",
        "test_split",
        "train_examples",
        "seed",
        "strategy",
        "precision",
    )
    flags = {name: getattr(arguments, name) for name in names}
    flags |= APPLIES_TO[arguments.paper]
    if arguments.dataset == "digits":
        defaults = {
            "train_split": "train",
            "test_split": HELD_OUT,
            "train_examples": DIGITS_TRAIN_EXAMPLES,
        }
    else:
        defaults = SPLITS
    flags |= {name: value for name, value in defaults.items() if flags[name] is None}
    train, test = flags["train_split"], flags["test_split"]
    if not (train.startswith("train") and test.startswith(("train", HELD_OUT))) or train == test:
        raise ValueError(
            f"--train_split={train} and --test_split={test} must be different parts of the "
            f"training data, such as {SPLITS['train_split']} and {SPLITS['test_split']}"
        )
    return flags


def trial_settings(paper: str, flags: Mapping, values: Mapping, epochs: int) -> Settings:
    """Return the settings of one trial; it is measured once, at its end."""
    asked = {**flags, **values, "epochs": epochs, "eval_every": epochs}
    return settings_.settle(settings_.from_dict(papers.stages(paper), asked))[0]


def run_trial(trial: Settings, output_dir: Path, places: Mapping) -> Path:
    """Make the run of one trial, or find it complete, and return its directory.

    A run that a killed sweep left behind and that is still alive is waited for.

    Raises:
      RuntimeError: the run failed; the message is its last line.
    """
    path = output_dir / trial.paper / settings_.name(trial)
    if (path / "result.json").exists():
        return path
    path.mkdir(parents=True, exist_ok=True)
    flags = {**as_dict(trial), **places, "output_dir": output_dir, "wait": True}
    command = [sys.executable, "-m", f"repro.{trial.paper}", *flag_lines(flags)]
    with (path / "log.txt").open("a+") as log:
        done = subprocess.run(command, stdout=log, stderr=log)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise RuntimeError(f"a trial was ended by {name}; the same command goes on with it")
    if done.returncode:
        lines = (path / "log.txt").read_text().splitlines() or ["no output"]
        raise RuntimeError(
            f"{lines[-1].removeprefix('error: ')} (a trial failed; see {path / 'log.txt'})"
        )
    return path


def objective(result: dict) -> float:
    """Return the accuracy on held-out training data; 0 where training diverged."""
    return result["test_accuracy"] if result["status"] == "complete" else 0.0


def entry(arguments, flags: Mapping, trials: list[tuning.Trial], best_dir: Path) -> dict:
    """Return what tuned.json says about a sweep."""
    winner, result = tuning.best(trials), json.loads((best_dir / "result.json").read_text())
    environment = json.loads((best_dir / "environment.json").read_text())
    return {
        "values": winner.values,
        "objective": winner.objective,
        "applies_to": {"dataset": flags["dataset"], **APPLIES_TO[arguments.paper]},
        "protocol": {
            "objective": "accuracy on held-out training examples after the last epoch",
            **flags,
            "train_examples": result["train_examples"],
            "held_out_examples": result["test_examples"],
            "epochs": arguments.epochs,
            "learning_rate": result["settings"]["learning_rate"],
            "tuner": arguments.tuner,
            "space": SPACES[arguments.paper],
            "versions": environment["versions"],
            "commit": environment["commit"],
        },
        "trials": [dataclasses.asdict(trial) for trial in trials],
    }


def tune(arguments: argparse.Namespace) -> None:
    """Run a sweep and record it.

    Raises:
      ValueError: bad splits, or a tuned.json that is none.
      RuntimeError: a trial failed.
    """
    paper, flags = arguments.paper, trial_flags(arguments)
    places = {"data_dir": arguments.data_dir, "download": arguments.download}
    numbers = iter(range(1, 10**6))

    def run(values: dict, epochs: int) -> float:
        trial = trial_settings(paper, flags, values, epochs)
        shown = ", ".join(f"{name}={value:g}" for name, value in values.items())
        print(f"trial {next(numbers)}: {shown}, {epochs} epochs", end="  ", flush=True)
        path = run_trial(trial, arguments.output_dir, places)
        accuracy = objective(json.loads((path / "result.json").read_text()))
        print(f"{accuracy:.4f} on held-out training data", flush=True)
        return accuracy

    trials = tuning.sweep(
        run,
        SPACES[paper],
        tuner=arguments.tuner,
        trials=arguments.trials,
        epochs=arguments.epochs,
        seed=arguments.seed,
        directory=arguments.output_dir / "keras_tuner" / f"{paper}-{arguments.model}-"
        f"{arguments.dataset}",
    )
    if tuning.is_worker():
        return
    if not trials:
        raise RuntimeError("no trial was completed")
    winner = tuning.best(trials)
    best = settings_.name(trial_settings(paper, flags, winner.values, winner.epochs))
    file = arguments.tuned_file or CONFIGS / paper / "tuned.json"
    found_in = arguments.output_dir / paper / best
    tuning.record(file, arguments.model, entry(arguments, flags, trials, found_in))
    found = ", ".join(f"{name}={value:g}" for name, value in winner.values.items())
    print(f"best of {len(trials)} trials: {found}: {winner.objective:.4f}; wrote {file}")


@one_line_errors()
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tools/tune",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
        usage="tools/tune PAPER --model=NAME [options]; --help lists them",
    )
    add = parser.add_argument
    add("paper", choices=SPACES)
    add("--model", choices=MODELS, required=True)
    add("--dataset", choices=[d for d in DATASETS if d != "imagenet2012"], default="cifar10")
    add("--tuner", choices=tuning.TUNERS, default="random")
    add("--trials", type=_positive, help="default: 20; all there are for grid and hyperband")
    add("--epochs", type=_positive, default=30, help="of a trial; hyperband's longest")
    add("--seed", type=int, default=0, help="of the search and of every trial")
    add("--train_split", help=f"default: {SPLITS['train_split'].replace('%', '%%')}")
    add("--test_split", help=f"held-out data; default: {SPLITS['test_split'].replace('%', '%%')}")
    add("--train_examples", type=_positive, help="train on a class-balanced subset of this size")
    add("--strategy", default="default", help="how a trial is distributed, see the paper's binary")
    add("--precision", default="float32", help="of a trial, see the paper's binary")
    add("--data_dir", help="where tensorflow-datasets keeps prepared data")
    add("--download", choices=("true", "false"), default="true", help="may data be fetched")
    add("--output_dir", type=Path, default=Path("outputs"))
    add("--tuned_file", type=Path, help="default: configs/<paper>/tuned.json")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: terminated"))  # its run ends too
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tune(arguments)
    except (ValueError, RuntimeError) as error:
        sys.exit(f"\nerror: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; run the same command again to go on")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    main()

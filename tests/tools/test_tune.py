"""Sweeps of the real binary on digits: killed and resumed, failing, with a chief and workers."""

import itertools
import json
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from repro import papers
from repro.data import datasets
from repro.settings import as_dict, name
from repro.tools import tune

QUICK = (
    "randomization",
    "--model=mlp_1x512",
    "--dataset=digits",
    "--train_examples=200",
    "--epochs=1",
    "--trials=2",
)


UNSAID = tune.sweeps("randomization")["unsaid"]
MLP = {"model": "mlp_1x512"}


def test_the_last_tenth_of_the_training_set_is_held_out():
    flags = tune.trial_flags(UNSAID, MLP)
    assert (flags["train_split"], flags["test_split"]) == ("train[:90%]", "train[90%:]")
    assert flags["corruption"] == "none"


def test_digits_hold_out_a_tenth():
    flags = tune.trial_flags(UNSAID, {**MLP, "dataset": "digits"})
    assert (flags["train_split"], flags["test_split"]) == ("train", "held_out")
    assert flags["train_examples"] == 1294


@pytest.mark.parametrize(
    "splits",
    [
        {"test_split": "test"},
        {"train_split": "train", "test_split": "train"},
        {"train_split": "test[:50%]"},
        {"train_split": "train"},  # holds the images that are held out
        {"train_split": "train[:95%]"},
        {"train_split": "train[:40000]"},  # of how many?
        {"test_split": "train[90%:]+test"},
        {"train_split": "train+test[:50%]"},
        {"dataset": "digits", "train_split": "test"},
    ],
    ids=str,
)
def test_test_data_is_refused(splits):
    with pytest.raises(ValueError, match="different parts of the training data"):
        tune.trial_flags(UNSAID, MLP | splits)


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("train[:90%]", "train[90%:]"),
        ("train[:40000]", "train[45000:]"),
        ("train[50%:80%]", "train[:50%]"),
        ("train[:10]", "train[20:30]"),
        ("train", "held_out"),
    ],
)
def test_parts_that_are_apart(train, held_out):
    splits = {"train_split": train, "test_split": held_out}
    assert tune.trial_flags(UNSAID, MLP | splits).items() >= splits.items()


def test_a_sweep_with_other_flags_has_a_name_of_its_own():
    """So it neither replaces the record of another nor speaks for other runs."""
    given = {**MLP, "dataset": "digits", "seed": "0"}
    flags = tune.trial_flags(UNSAID, given)
    trial = tune.trial_settings("randomization", flags, {}, 3)
    assert tune.name_of("unsaid", trial, given) == "unsaid-mlp_1x512-digits"
    slow = tune.name_of("unsaid", trial, {**given, "learning_rate": "1e-5"})
    assert slow == "unsaid-mlp_1x512-digits-learning_rate=1e-5"


def test_what_a_sweep_tries_cannot_be_given():
    with pytest.raises(ValueError, match="--batch_size is what this sweep tries"):
        tune.trial_flags(UNSAID, {"batch_size": "8"})


@pytest.mark.parametrize(
    ("paper", "name"), [(paper, name) for paper in papers.PAPERS for name in tune.sweeps(paper)]
)
def test_the_default_of_a_sweep_is_the_documented_one(paper, name):
    """Its first values are those that the flags have, so that a sweep starts where others do."""
    sweep = tune.sweeps(paper)[name]
    flags = tune.trial_flags(sweep, {})
    untouched = as_dict(tune.trial_settings(paper, flags, {}, sweep.epochs))
    for flag, values in sweep.space.items():
        assert len(set(values)) == len(values) > 1
        first = untouched[flag]
        if (name, flag) == ("no_batch_norm", "learning_rate"):
            assert first == 0.1
        elif first is not None:  # None is the network's own
            assert values[0] == first, flag
    for values in itertools.product(*sweep.space.values()):
        tune.trial_settings(paper, flags, dict(zip(sweep.space, values)), sweep.epochs)


def splits(train_examples, test_split):
    return datasets.splits("digits", None, False, "train", test_split, train_examples, 0)


def test_held_out_examples_are_the_rest_of_the_training_set():
    train, held_out = splits(1294, "held_out")
    whole, test = splits(None, "test")
    assert (len(train), len(held_out)) == (1294, 144)
    assert np.array_equal(np.sort(np.r_[train.ids, held_out.ids]), whole.ids)
    assert not np.isin(held_out.ids, test.ids).any()
    assert np.ptp(np.bincount(train.labels)) <= 1
    assert set(held_out.labels) == set(range(10))


@pytest.mark.parametrize(
    "train_examples, message", [(None, "wants --train_examples"), (1438, "leaves no example")]
)
def test_there_must_be_something_to_hold_out(train_examples, message):
    with pytest.raises(ValueError, match=message):
        splits(train_examples, "held_out")


def test_a_trial_is_the_run_that_its_flags_would_make_by_hand():
    flags = tune.trial_flags(UNSAID, MLP)
    values = {"batch_size": 32, "dropout_rate": 0.5, "weight_decay": 1e-4}
    trial = tune.trial_settings("randomization", flags, values, 3)
    assert (trial.batch_size, trial.dropout_rate, trial.weight_decay) == (32, 0.5, 1e-4)
    assert (trial.epochs, trial.eval_every, trial.corruption) == (3, 3, "none")
    others = [(flags, values, 4), ({**flags, "seed": "1"}, values, 3)]
    names = {name(tune.trial_settings("randomization", *other)) for other in others}
    assert len({name(trial), *names}) == 3


def test_objectives():
    """More is better; divergence is worse than anything."""
    diverged = {"status": "diverged", "test_accuracy": None}
    assert UNSAID.of(diverged) == 0
    assert UNSAID.of({"status": "complete", "test_accuracy": 0.5}) == 0.5
    gain = tune.sweeps("stability")["gain"]
    fitted = {"status": "complete", "fitted": True}
    at, far = (fitted | {"nonuniformity": {"value": s}} for s in (7.94, 5.94))
    assert gain.of(at | {"fitted": False}) < -100
    assert gain.of(at) == 0 and gain.of(far) == pytest.approx(-2) and gain.of(diverged) < -100
    adam = tune.sweeps("teacher_student")["adam"]
    counted = {"status": "complete", "negative": {"count": 400, "of": 1000}}
    assert adam.of(counted) == pytest.approx(-0.053)
    curve = tune.sweeps("mode_connectivity")["curve"]
    metrics = {"curve_metrics": {"test_error": {"maximum": 0.3}}, "status": "complete"}
    assert curve.of(metrics) == pytest.approx(0.7)
    none = {"status": "complete", "perturbed_positive": {"count": 0, "of": 0}}
    with pytest.raises(ValueError, match="ask for more of them"):
        tune.sweeps("teacher_student")["perturbation"].of(none)
    adversary = tune.sweeps("bad_minima")["adversary"]
    ended = {"status": "complete", "test_accuracy": 0.3, "train_accuracy": 1.0}
    assert adversary.of(ended | {"pretrain_accuracy": 1.0}) == -0.3
    assert adversary.of(ended | {"pretrain_accuracy": 0.5}) == -1
    assert adversary.of(diverged) == -1


# --- whole sweeps ---------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path):
    places = (f"--output_dir={tmp_path}", f"--tuned_file={tmp_path / 'tuned.json'}")
    return [sys.executable, "-m", "repro.tools.tune", *QUICK, *places]


def finished(path):
    return sorted(path.glob("randomization/*/result.json"))


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def check_tuned(path):
    """Check tuned.json after a sweep of two trials."""
    sweep = json.loads((path / "tuned.json").read_text())["unsaid-mlp_1x512-digits-n200"]
    accuracies = [json.loads(file.read_text())["test_accuracy"] for file in finished(path)]
    assert sorted(trial["objective"] for trial in sweep["trials"]) == sorted(accuracies)
    assert sweep["objective"] == max(accuracies)
    best = max(sweep["trials"], key=lambda trial: trial["objective"])
    assert set(sweep["values"]) == {"batch_size", "dropout_rate", "weight_decay"}
    assert sweep["values"] == best["values"]
    assert sweep["applies_to"] == {
        "model": "mlp_1x512",
        "dataset": "digits",
        "corruption": "none",
        "train_examples": 200,
    }
    protocol = sweep["protocol"]
    assert (protocol["train_examples"], protocol["held_out_examples"]) == (200, 1238)
    assert (protocol["epochs"], protocol["seed"], protocol["tuner"]) == (1, 0, "random")
    assert {"tensorflow", "keras", "keras-tuner"} <= set(protocol["versions"])


@pytest.mark.slow
def test_a_killed_sweep_goes_on(tmp_path, command, environment, stopped):
    """Killed alone: its second run lives on and holds its directory."""
    stopped(*command[1:], when=lambda: len(list(tmp_path.glob("randomization/mlp*"))) == 2)
    (first,) = finished(tmp_path)
    before = first.stat().st_mtime_ns
    resumed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    assert "best of 2 trials" in resumed.stdout
    assert len(finished(tmp_path)) == 2 and first.stat().st_mtime_ns == before
    check_tuned(tmp_path)


@pytest.mark.slow
def test_a_failing_trial_ends_the_sweep_in_one_line(tmp_path, python):
    done = python(
        "-m",
        "repro.tools.tune",
        "randomization",
        "--model=mlp_1x512",
        "--trials=1",
        "--dataset=mnist",
        "--download=false",
        f"--data_dir={tmp_path}",
        f"--output_dir={tmp_path}",
        f"--tuned_file={tmp_path}/tuned.json",
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "error: mnist is not prepared in" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "tuned.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["randomization", "--model=nothing"], "mlp_1x512", 1),
        (["randomization", "--sweep=nothing"], "unsaid, augmentation, no_batch_norm", 2),
        (["nothing"], "randomization", 2),
        (["stability", "--tuner=hyperband"], "has no --epochs, and no --tuner=hyperband", 1),
        (["randomization", "model"], "flags of the binary are --name=value", 2),
        (["randomization", "--mdel=x"], "is --model meant?", 1),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_in_one_line(python, tmp_path, arguments, words, status):
    done = python("-m", "repro.tools.tune", *arguments, f"--output_dir={tmp_path}")
    assert done.returncode == status
    assert words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_sweep_that_is_chosen_to_match(tmp_path, python):
    """Students on two protocols, in a grid; what is found applies to nothing by itself."""
    done = python(
        *("-m", "repro.tools.tune", "teacher_student", "--sweep=adam", "--tuner=grid"),
        *("--num_students=4", "--trials=2", f"--output_dir={tmp_path}"),
        f"--tuned_file={tmp_path / 'tuned.json'}",
    )
    assert done.returncode == 0, done.stderr
    (sweep,) = json.loads((tmp_path / "tuned.json").read_text()).values()
    assert sweep["applies_to"] is None and "num_students" in sweep["protocol"]
    results = [json.loads(f.read_text()) for f in tmp_path.glob("teacher_student/*/result.json")]
    shares = [result["negative"]["count"] / result["negative"]["of"] for result in results]
    objectives = sorted(trial["objective"] for trial in sweep["trials"])
    assert objectives == pytest.approx(sorted(-abs(share - 0.347) for share in shares))
    assert len(objectives) == 2


@pytest.mark.slow
def test_a_chief_and_two_workers(tmp_path, command, environment):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = [
        subprocess.Popen(
            command,
            env={
                **environment,
                "KERASTUNER_TUNER_ID": name,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": port,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("chief", "worker0", "worker1")
    ]
    try:
        printed = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "best of 2 trials" in printed[0] and "trial 1" not in printed[0]
    assert sum(text.count("trial ") for text in printed[1:]) == 2
    check_tuned(tmp_path)

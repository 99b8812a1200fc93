"""Flags: what is part of a run's identity, what None means, and where runs land."""

import inspect
import json

import pytest

from repro import common_flags
from repro.randomization import experiment as randomization
from repro.training.runs import settings_hash

# Parses flags as the binary does and prints what main would run with.
PARSE = """
import json, sys
from repro import common_flags, randomization
from absl import flags

sys.argv[0] = "repro.randomization"
randomization.define_flags()
flags.FLAGS(sys.argv)
common_flags.run_binary = lambda *a: print(json.dumps({"name": a[4], "values": dict(a[1])}))
common_flags.end_with_one_line(randomization.main)(sys.argv[:1])
"""


@pytest.fixture(scope="module")
def parsed(python):
    """Return what main runs with, by command line; each is parsed once."""
    known = {}

    def parse(*flags):
        if flags not in known:
            done = python("-c", PARSE, *flags)
            assert done.returncode == 0, done.stderr
            known[flags] = json.loads(done.stdout)
        return known[flags]

    return parse


def test_defaults_are_the_papers(parsed):
    values = parsed()["values"]
    expected = {
        "model": "inception", "dataset": "cifar10", "corruption": "none", "corrupt_prob": 0.0,
        "learning_rate": 0.1, "learning_rate_decay": 0.95, "momentum": 0.9, "batch_size": None,
        "dropout_rate": None, "weight_decay": None, "augment": [], "permute": "entries",
        "gaussian_moments": "dataset", "redraw": False, "strategy": "default", "seed": 0,
        "precision": "float32", "xla": False, "deterministic": False, "train_examples": None,
    }  # fmt: skip
    assert {name: values[name] for name in expected} == expected


def test_names_others_build_on(parsed):
    assert {
        "model", "dataset", "data_dir", "corruption", "corrupt_prob", "train_examples", "epochs",
        "batch_size", "learning_rate", "seed", "output_dir", "run_dir",
    } <= set(parsed()["values"])  # fmt: skip


def test_corrupt_prob_implies_partial_labels(parsed):
    values = parsed("--corrupt_prob=0.4")["values"]
    assert (values["corruption"], values["corrupt_prob"]) == ("partial_labels", 0.4)


@pytest.mark.parametrize(
    ("model", "rate"),
    [("inception", 0.1), ("wrn_28_1", 0.1), ("alexnet", 0.01), ("mlp_1x512", 0.01)],
)
def test_learning_rate_follows_the_network(parsed, model, rate):
    assert parsed(f"--model={model}")["values"]["learning_rate"] == rate


def test_a_rate_that_is_said_wins(parsed):
    assert parsed("--model=alexnet", "--learning_rate=0.3")["values"]["learning_rate"] == 0.3


def test_the_name_says_the_main_settings(parsed):
    name = parsed(
        "--model=alexnet", "--dataset=digits", "--corrupt_prob=0.4", "--train_examples=500",
        "--augment=crop,flip", "--redraw", "--seed=3",
    )["name"]  # fmt: skip
    assert name == "alexnet-digits-partial_labels-p0.4-n500-crop-flip-redraw-seed3"


def test_run_takes_every_setting(parsed):
    """The experiment's arguments are the flags of the same names: none is forgotten or unused."""
    parameters = set(inspect.signature(randomization.run).parameters)
    settings = set(common_flags.settings(parsed()["values"]))
    assert settings <= parameters
    supplied = {*common_flags.PLACES, "checkpoint_every", "run_directory", "environment"}
    assert parameters == settings | supplied


def test_where_and_how_are_no_part_of_the_identity(parsed):
    plain = common_flags.settings(parsed()["values"])
    moved = common_flags.settings(
        parsed("--data_dir=/data", "--output_dir=/out", "--run_dir=/run", "--checkpoint_every=7",
               "--download=false")["values"]
    )  # fmt: skip
    assert moved == plain
    other = common_flags.settings(parsed("--seed=1")["values"])
    assert settings_hash(other) != settings_hash(plain)


def test_runs_land_by_settings(quick, tmp_path):
    """<output_dir>/<binary>/<name>-<hash>, when no directory is named."""
    result = quick(None, epochs=1, train_examples=50, output_dir=str(tmp_path))
    (run_dir,) = (tmp_path / "randomization").iterdir()
    assert run_dir.name == f"name-{settings_hash(result['settings'])}"

"""From configs to pictures: the smoke runs of Liu et al.'s figures, with a tiny network."""

import json

import keras
import pytest

from repro.bad_minima import experiment as bad_minima
from repro import common_flags, models
from repro.models.layers import batch_norm
from repro.reporting import claims, figures, results
from repro.tools import reproduce

FIGURES = ("four_settings", "norms", "adversary", "departures", "initial_norms")
DEFAULTS = {
    "learning_rate": 0.1, "learning_rate_drop": 0.1, "train_split": "train", "test_split": "test",
    "init": "random", "augment": False, "l2": 0.0, "momentum": 0.0, "zero_unit": "entries",
    "replicas": 1, "zero_out": 0.1, "pretrain_split": None, "pretrain_learning_rate": 0.1,
    "pretrain_accuracy": 0.9999, "start": None, "reset_batch_norm": False, "shuffle": True,
    "batch_statistics": False, "sharpness_examples": 0, "seed": 0, "strategy": "default",
    "precision": "float32", "xla": False, "deterministic": False, "data_dir": None,
    "download": False, "checkpoint_every": 50, "output_dir": "outputs", "wandb_project": None,
    "profile_dir": None, "batch_size": 128, "drop_at": ["2"], "pretrain_drop_at": ["2"],
    "pretrain_epochs": 2, "eval_every": 1, "train_examples": 64,
}  # fmt: skip
SHORT = {"epochs": 2, "drop_at": ["1"], "eval_every": 2, "pretrain_epochs": 2,
         "pretrain_drop_at": ["1"]}  # fmt: skip


def tiny_network(name, input_shape, num_classes, **options):
    inputs = keras.Input(input_shape)
    x = batch_norm("norm")(keras.layers.Conv2D(2, 7, 7, use_bias=False, name="conv")(inputs))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(num_classes, name="logits")(x))


@pytest.fixture(scope="module")
def runs_of(tmp_path_factory):
    """Return the smoke runs of a figure, each trained once for a few steps."""
    home = tmp_path_factory.mktemp("runs")

    def get(name):
        found = []
        for flags in reproduce.expand(reproduce.load_config(f"bad_minima/{name}"), "smoke"):
            path = home / reproduce.run_name(flags)
            if not (path / "result.json").exists():
                short = SHORT if flags["epochs"] else {**SHORT, "epochs": 0}
                values = {**DEFAULTS, **flags, **short, "run_dir": str(path)}
                if values["init"] == "random":
                    values |= dict.fromkeys([*bad_minima.PRETRAINING, *bad_minima.HANDOVER])
                common_flags.run_binary(
                    bad_minima.MODULE, values, {}, bad_minima.TUNED, "name", bad_minima.run
                )
            found.append(results.load(path))
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(models, "build", tiny_network)
        yield get


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_from_runs(runs_of, name, tmp_path):
    config = reproduce.load_config(f"bad_minima/{name}")
    runs = runs_of(name)
    for file in figures.draw(config["figure"], runs, config["title"], tmp_path / name):
        assert file.stat().st_size > 200
    paper = figures.CLAIMS[config["paper"]]
    records = claims.judge([paper[id_] for id_ in config["claims"]], runs, "smoke")
    text = json.dumps(records, allow_nan=False)
    assert "64 training and 359 test images" in text or name == "initial_norms"
    # Two steps decide nothing, but every claim finds the runs it needs.
    assert all(record["verdict"] != "not run" or record["id"] == "B12" for record in records)

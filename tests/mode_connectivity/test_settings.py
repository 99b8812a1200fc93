"""Settings of mode connectivity: names, what does not matter, learning rates, bad input."""

import numpy as np
import pytest

from repro import command_line
from repro.mode_connectivity import endpoint, names
from repro.mode_connectivity.settings import STAGES, Curve, Endpoint, Evaluate
from repro.settings import as_dict, from_dict, name, settle


def parsed(*arguments):
    return settle(command_line.parse(STAGES, arguments)[0])[0]


# --- flags and names ------------------------------------------------------------------------------


def test_the_flags_of_readme():
    settings = parsed("--from=G", "--to=A")
    assert (settings.stage, settings.from_, settings.to) == ("evaluate", "G", "A")
    assert as_dict(settings)["from"] == "G" and "from_" not in as_dict(settings)
    assert from_dict(STAGES, as_dict(settings)) == settings
    assert name(settings).startswith("evaluate-GtoA-polychain-vgg16-cifar10-seed0-")


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--stage=endpoint", "--mode=D", "--train_examples=9"], "endpoint-D-vgg16-cifar10-n9-"),
        (["--stage=curve", "--from=sgdr@30", "--to=G+1"], "curve-sgdr30toGnext-polychain-vgg16"),
        (["--stage=slice", "--from=step@55"], "slice-step55-filter-1d-vgg16"),
        (["--stage=study", "--seed=3"], "study-vgg16-cifar10-seed3"),
    ],
)
def test_names_say_what_a_run_is_about(arguments, start):
    assert name(parsed(*arguments)).startswith(start)


def test_a_name_does_not_depend_on_modes_that_are_not_there():
    """A's batch, B's rate and the rest belong to one mode each."""
    plain = parsed("--from=G", "--to=C")
    others = (
        "--large_batch_size=7",
        "--adam_learning_rate=1",
        "--swa_learning_rate=1",
        "--sgdr_update=step",
        "--cycle_epochs=20",
    )
    assert parsed("--from=G", "--to=C", *others) == plain
    for mode, flag in zip(("A", "B", "swa", "sgdr", "fge"), others):
        assert name(parsed(f"--to={mode}", flag)) != name(parsed(f"--to={mode}")), flag


def test_a_needed_run_is_the_one_that_is_asked_for_by_itself():
    """What evaluate, study and plane need has the settings of the run that a user would start."""
    shared = ("--model=mlp_1x512", "--dataset=digits", "--batch_size=50", "--large_batch_size=60")
    study = parsed("--stage=study", "--bends=3", *shared)
    by_itself = parsed("--stage=curve", "--bends=3", "--to=A", *shared)
    assert settle(study.of_stage(Curve, from_="G", to="A"))[0] == by_itself
    evaluation = settle(study.of_stage(Evaluate, from_="G", to="A"))[0]
    assert settle(evaluation.of_stage(Curve))[0] == by_itself
    assert settle(evaluation.of_stage(Endpoint, mode="G", seed=1))[0] == parsed(
        "--stage=endpoint", "--mode=G", "--seed=1", *shared
    )


# --- learning rates -------------------------------------------------------------------------------


def rates(mode, epoch_scale=1.0, **changes):
    settings = Endpoint(mode=mode, epoch_scale=epoch_scale, **changes).settled()
    return endpoint.learning_rates(settings, 10)


def test_learning_rates_of_the_modes():
    at = np.array([0, 59, 60, 120, 160, 199]) * 10
    for mode in "GADEF":
        np.testing.assert_allclose(rates(mode)[at], [0.05, 0.05, 0.01, 0.002, 0.0004, 0.0004])
    np.testing.assert_allclose(rates("B")[at][:3], [1e-3, 1e-3, 2e-4])
    np.testing.assert_allclose(rates("C")[at], 0.05 * (1 - at / 2000))
    np.testing.assert_allclose(rates("step")[at], [0.05, 0.05, 0.01, 0.01, 0.002, 0.002])
    assert rates("sgdr")[99] == pytest.approx(1.2246e-3, rel=1e-4)
    assert rates("sgdr", sgdr_update="step")[99] < 2e-5
    assert set(rates("G", schedule="constant")) == {0.05}
    garipov = rates("G", schedule="garipov")
    assert list(garipov[[0, 999, 1900]]) == pytest.approx([0.05, 0.05, 0.0005])
    assert rates("swa")[-1] == pytest.approx(0.01)
    assert rates("fge")[1600:1640:10] == pytest.approx([0.05, 0.02505, 0.0001, 0.02505])


def test_cycles_of_fge():
    """The last middle may be the last epoch; every middle is kept and ensembled."""
    assert names.middles(4) == [*range(162, 200, 4)]
    assert names.middles(16) == [168, 184, 200]
    assert names.kept_epochs("fge", 16) == [168, 184, 200]
    assert names.kept_epochs("fge", 20) == [170, 190, 200]


@pytest.mark.parametrize("scale", [0.2, 0.4])
def test_scaled_schedules_change_where_the_papers_do(scale):
    changes = (np.flatnonzero(np.diff(rates("G", scale))) + 1) / 10 / scale
    np.testing.assert_allclose(changes, [60, 120, 160])


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"from": "H"}, ["unknown point 'H'", "G, A, B", "sgdr@70"]),
        ({"from": "sgdr@31", "epoch_scale": 0.1}, ["sgdr keeps the epochs 10, 20"]),
        ({"from": "A"}, ["the same point, A"]),
        ({"from": "G@200", "to": "G"}, ["the same point, G"]),
        ({"stage": "study", "free_ends": True}, ["--free_ends would move it"]),
        ({"init_dense": "torch"}, ["--init_dense is for vgg16"]),
        ({"repair": True, "model": "wrn_28_1"}, ["--repair is for vgg16_quarter"]),
        ({"stage": "endpoint", "mode": "fge", "cycle_epochs": 100}, ["no cycle fits"]),
        ({"epoch_scale": 0.001}, ["which is not whole", "0.2"]),
        ({"points": 10}, ["--points=10 must be odd"]),
        ({"mode": "G"}, ["--mode is not for --stage=evaluate", "--stage=endpoint"]),
        ({"stage": "study", "to": "A"}, ["--to is not for --stage=study"]),
        ({"from": "./nowhere"}, ["--from=./nowhere holds no complete run"]),
        ({"stage": "study", "perplexity": 13.0}, ["below the 13 points"]),
        ({"stage": "slice", "directions": "pca"}, ["more than 1", "G keeps 1"]),
        ({"stage": "endpoint", "mode": "fge"}, ["epoch 162 8.1, which is not whole"]),
        ({"stage": "plane", "grid": 1}, ["--grid=1 must be 2 or more"]),
        ({"stage": "plane", "third": "G"}, ["--third=G is --from"]),
        ({"form": "G"}, ["--form is unknown: is --from meant?"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_mistakes_are_named_before_anything_starts(asked, changes, words):
    with pytest.raises(ValueError) as error:
        settle(asked(**changes))
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--from=H"], "error: unknown point 'H'"),
        (["--stage=plane", "--grid=1"], "error: --grid=1"),
        (["--stage=plane", "--from=G", "--to=A", "--third=G"], "error: --third=G is --from"),
    ],
)
def test_one_line_at_the_command(python, tmp_path, arguments, words):
    done = python("-m", "repro.mode_connectivity", *arguments, f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert done.stderr.startswith(words)
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())

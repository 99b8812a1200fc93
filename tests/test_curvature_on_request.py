"""Curvature at the end and along training: on request alone, right, and the same after a kill."""

import json

import numpy as np
import pytest

from repro import command_line, curvature_on_request, papers
from repro import settings as settings_
from repro.bad_minima.settings import Pretrain
from repro.bad_minima.settings import Train as BadMinima
from repro.mode_connectivity.settings import Endpoint
from repro.randomization.settings import Train as Randomization
from repro.stability.settings import Train as Stability
from repro.training.runs import RunDirectory

ASKED = {"curvature_at_end": True, "curvature_every": 2, "curvature_examples": 30}


def settled(kind, **changes):
    return settings_.settle(kind(**changes))[0]


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Stability, Randomization, BadMinima, Pretrain, Endpoint])
def test_without_a_request_runs_have_the_names_they_had(kind):
    plain = settled(kind)
    new = {*ASKED, "sam_rho"}
    assert {value for name, value in settings_.as_dict(plain).items() if name in new} == {None}
    refused = settled(kind, curvature_at_end=False, curvature_examples=7)  # of what is not measured
    assert settings_.name(refused) == settings_.name(plain)
    steps = {"measure_every": 2} if kind is Stability else {}
    asked = [settled(kind, **steps), settled(kind, **steps, **ASKED)]
    assert len({*map(settings_.name, asked)}) == 2


def test_reference_runs_have_the_names_they_had():
    """All that is committed: a flag that came later must not rename what there is."""
    count, reference = 0, settings_.CONFIGS.parent / "outputs" / "reference"
    for paper in papers.PAPERS:
        for flags in (reference / paper).glob("*/flags.cfg"):
            count += 1
            found = settings_.read(papers.stages(paper), flags.parent)
            assert settings_.name(found) == flags.parent.name
    assert count > 100


def test_a_thousand_images_where_no_number_is_said():
    assert settled(Endpoint, curvature_every=5).curvature_examples == 1000
    assert settled(Endpoint, curvature_at_end=True, curvature_examples=8).curvature_examples == 8


def test_starts_are_shared_with_runs_that_are_not_looked_at():
    runs = [settled(BadMinima, init="adversarial", **more) for more in ({}, ASKED)]
    assert len({settings_.name(run.pretraining()) for run in runs}) == 1


@pytest.mark.parametrize(
    ("paper", "arguments", "instead"),
    [
        ("randomization", ["--curvature_at_end"], "leave out --curvature_at_end,"),
        ("randomization", ["--curvature_every=2"], "leave out --curvature_every,"),
        ("bad_minima", [], "say --sharpness_examples=0,"),
        (
            "bad_minima",
            ["--curvature_at_end"],
            "leave out --curvature_at_end and say --sharpness_examples=0,",
        ),
        ("bad_minima", ["--stage=pretrain", "--curvature_every=1"], "leave out --curvature_every,"),
        ("mode_connectivity", ["--stage=endpoint", "--curvature_at_end"], "--curvature_at_end,"),
        ("mode_connectivity", ["--stage=plane", "--hessian_examples=9"], "--hessian_examples,"),
    ],
)
def test_a_tpu_is_refused_before_a_run_starts(paper, arguments, instead):
    asked, _ = command_line.parse(papers.stages(paper), ["--strategy=tpu", *arguments])
    with pytest.raises(ValueError, match=f"{instead} and measure afterwards") as caught:
        settings_.settle(asked)
    assert "\n" not in str(caught.value)
    settings_.settle(asked.replace(strategy="mirrored"))


@pytest.mark.parametrize(
    ("paper", "arguments"),
    [
        ("randomization", ["--nocurvature_at_end"]),
        ("bad_minima", ["--sharpness_examples=0"]),
        ("bad_minima", ["--sharpness_examples=0", "--init=adversarial"]),
        ("bad_minima", ["--stage=pretrain"]),
        *(
            ("mode_connectivity", [f"--stage={stage}"])
            for stage in papers.stages("mode_connectivity")
        ),
    ],
)
def test_a_tpu_trains_where_no_curvature_is_asked_for(paper, arguments):
    asked, _ = command_line.parse(papers.stages(paper), ["--strategy=tpu", *arguments])
    settled, _ = settings_.settle(asked)
    assert settled.strategy == "tpu"
    for needed in settled.needs():
        settings_.settle(needed)


def test_measurements_of_stability_fall_on_its_own():
    with pytest.raises(ValueError, match="multiple of --measure_every=1000"):
        settled(Stability, curvature_every=500)


# --- runs of stability ----------------------------------------------------------------------------

RUN = Stability(
    dataset="digits",
    train_examples=40,
    learning_rate=0.5,
    batch_size=15,
    stop_loss=0.0,
    iterations=7,
    measure_every=2,
    max_iterations=4,
    curvature_every=2,
    curvature_examples=30,
)


def rows(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    path = tmp_path_factory.mktemp("stability") / "run"
    make(RUN, path)
    return path


@pytest.mark.slow
def test_rows_have_it_where_it_is_due_from_the_start_on(whole):
    found = {row["step"]: row.get("train/sharpness") for row in rows(whole)}
    assert [step for step, value in found.items() if value] == [0, 2, 4, 6]
    assert list(found) == [0, 2, 4, 6, 7]


@pytest.mark.slow
def test_the_numbers_are_those_of_the_instruments(make, tmp_path, monkeypatch):
    """At the end, over the first 30 images, opened again."""
    from repro import curvature
    from repro.stability import noise
    from repro.stability.experiment import open_run

    monkeypatch.setattr(noise, "PROBES", 24)
    path = tmp_path / "run"
    asked = {"curvature_every": None, "curvature_at_end": True, "max_iterations": 60}
    result = make(RUN.replace(**asked), path)
    trained = open_run(path, download=False, examples=30)
    of = trained.network, trained.loss, trained.data
    found = result["criticality"]
    assert found["examples"] == result["noise"]["examples"] == 30
    assert found["largest"] == pytest.approx(curvature.sharpness(*of).value, rel=1e-3)
    norm = curvature.frobenius_norm(*of, max_iterations=12)
    gap = abs(result["noise"]["frobenius"] - norm.value)
    assert gap < 5 * np.hypot(norm.standard_error, result["noise"]["frobenius_standard_error"])
    assert found["statement"].startswith("gradient norm ")


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.slow
def test_a_killed_run_measures_the_same_bits(whole, make, tmp_path, monkeypatch, epoch):
    """Killed once a row is there and its state is not: that of the start, too."""

    class Killed(BaseException):
        pass

    log = RunDirectory.log

    def log_and_die(directory, row):
        log(directory, row)
        if row["epoch"] == epoch:
            raise Killed

    monkeypatch.setattr(RunDirectory, "log", log_and_die)
    with pytest.raises(Killed):
        make(RUN, tmp_path / "run")
    monkeypatch.undo()
    make(RUN, tmp_path / "run")
    assert rows(tmp_path / "run") == rows(whole)


def test_a_measurement_made_again_is_the_same_and_weights_that_diverged_have_none():
    """As where a signal comes between it and its row."""
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    rng = np.random.default_rng(0)
    data = rng.normal(size=(8, 3)).astype("f4"), rng.normal(size=(8, 2)).astype("f4")

    def loss(targets, outputs):
        return keras.ops.mean((targets - outputs) ** 2, axis=-1)

    along = curvature_on_request.along(settled(Endpoint, curvature_every=1), model, loss, data)
    exact = np.linalg.eigvalsh(np.c_[data[0], np.ones(8)].T @ np.c_[data[0], np.ones(8)] / 8)[-1]
    first = along.row(1)
    assert first["train/sharpness"] == pytest.approx(exact, rel=1e-4)
    assert along.row(1) == first
    again = along.row(2)
    assert again["train/sharpness"] == pytest.approx(exact, rel=1e-4)
    model.layers[0].bias.assign([np.nan, 0.0])
    assert along.row(3) == {}


@pytest.mark.slow
def test_the_l2_term_is_that_of_the_weights_it_acts_on(tmp_path, quick):
    """Kernels alone by default: the same run measured without it has another gradient."""
    from repro.randomization.experiment import open_run

    asked = {"weight_decay": 0.5, "epochs": 1, "train_examples": 60, "model": "mlp_1x512"}
    result = quick(tmp_path / "run", **asked, curvature_at_end=True)
    trained = open_run(tmp_path / "run", download=False)
    squares = sum(
        float(np.sum(v.numpy().astype(float) ** 2))
        for v in trained.network.trainable_variables
        if v.path.endswith("kernel")
    )
    assert result["criticality"]["loss"] == pytest.approx(
        result["train_loss"] + 0.5 * squares / 2, rel=1e-4
    )

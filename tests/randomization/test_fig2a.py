"""Figure 2a in both its versions, ImageNet's and the EPFL student rerun's, on made-up runs."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from repro import papers
from repro.randomization import measures
from repro.randomization.claims import CLAIMS, saturation
from repro.tools import plans

M2 = {"weight_decay": 1e-3}
M3 = {**M2, "dropout_rate": 0.05, "augment": "crop,flip,brightness,saturation,contrast"}
ALL = {"weight_decay": 4e-5, "dropout_rate": 0.2, "augment": "flip,hue"}


def planned(figure):
    flags = plans.expand(plans.load_config(f"randomization/{figure}"), "paper")
    return plans.plan("randomization", flags, Path("out"), {})


def test_its_runs_on_imagenet_are_those_of_table_2():
    fig2a, table2 = planned("fig2a"), planned("table2")
    streamed = {run.path for run in fig2a if run.settings.dataset == "imagenet2012"}
    assert len(streamed) == 3 and streamed < {run.path for run in table2}
    assert {run.settings.batch_size for run in table2} == {32}
    # 10 million steps of 32 of 1,281,167 images are 249.8 epochs
    assert {run.settings.epochs for run in table2} == {250}


def test_its_runs_on_cifar10_are_the_student_reruns():
    runs = [run.settings for run in planned("fig2a") if run.settings.dataset == "cifar10"]
    shared = {(s.train_examples, s.train_split, s.epochs, s.batch_size) for s in runs}
    assert shared == {(None, "train", 100, 60)}
    chosen = {(s.weight_decay, s.dropout_rate, len(s.augment), s.augment_ranges) for s in runs}
    assert chosen == {(0.0, 0.0, 0, None), (1e-3, 0.0, 0, None), (1e-3, 0.05, 5, "epfl")}


# --- the figure -----------------------------------------------------------------------------------


@pytest.fixture
def draw():
    yield papers.figure("randomization", "fig2a")
    plt.close("all")


def styled(axes, **style):
    """Colour -> (x, y) of the lines of a style or marker that are not empty."""
    ((name, value),) = style.items()
    lines = [each for each in axes.lines if getattr(each, f"get_{name}")() == value]
    drawn = {line.get_color(): tuple(map(list, line.get_data())) for line in lines}
    return {colour: data for colour, data in drawn.items() if data[0]}


def solid(axes):
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    return {line.get_color(): line.get_label() for line in lines}


def test_published_values_stand_beside_both(draw, made_up):
    curves = {"metrics": {"test/accuracy": [0.5, 0.6], "train/accuracy": [0.7, 0.9]}}
    large = {"dataset": "imagenet2012", "model": "inception_v3", **curves}
    images = {"train_examples": 1_281_167}
    runs = [
        made_up(result=images, **large, weight_decay=4e-5),
        made_up(result=images, **large, **ALL),
        made_up(result=images, **large, augment="flip"),  # in Table 2 alone
        *(made_up(**curves, **flags) for flags in (M3, M2, {})),
    ]
    imagenet, cifar10 = draw(runs).axes
    assert imagenet.get_title() == "imagenet2012, 1,281,167 images"
    assert cifar10.get_title() == "cifar10, 50,000 images"
    published = styled(imagenet, marker="*")
    assert {colour: y for colour, (_, y) in published.items()} == {
        "C0": [0.727, 0.673],  # the best, and the end
        "C1": [0.779],
    }
    # 2.1 and 10 million steps of 32 of 1,281,167 images
    assert published["C0"][0] == pytest.approx([52.45, 249.77], abs=0.01)
    assert solid(imagenet)["C0"] == "test, weight decay at 4e-05"
    rerun = styled(cifar10, linestyle=":")
    assert {colour: y[0] for colour, (_, y) in rerun.items()} == {"C1": 0.889, "C2": 0.872}
    assert solid(cifar10)["C1"] == "test, weight decay at 0.001"
    assert solid(cifar10)["C2"] == "test, none"
    legends = [axes.get_legend().get_texts()[-1].get_text() for axes in (imagenet, cifar10)]
    assert legends == ["the paper, test", "the EPFL student rerun, test"]


def test_nothing_published_stands_beside_other_data(draw, made_up):
    curves = {"test/accuracy": [0.5], "train/accuracy": [0.7]}
    (axes,) = draw([made_up(metrics=curves, dataset="digits", model="mlp_1x512")]).axes
    assert not styled(axes, linestyle=":") and not styled(axes, marker="*")


# --- claims ---------------------------------------------------------------------------------------


def test_an_accuracy_has_settled():
    assert measures.settled([1, 2, 3, 4, 5], [0.5, 0.9, 0.7, 0.89, 0.9], 0.015) == 4
    assert measures.settled([1, 2, 3], [0.9, 0.9, 0.9], 0.015) == 1
    assert measures.settled([10, 20], [0.5, 0.9], 0.015) == 20


@pytest.fixture
def reaching(made_up):
    """Make a run whose training accuracy is 1 from an epoch on, of 100 epochs."""

    def make(epoch, result=None, **settings):
        rising = [0.5] * (epoch - 1) + [1.0] * (101 - epoch)
        result = {"epochs": 100, "steps": 100 * 834} | (result or {})
        return made_up(result=result, metrics={"train/accuracy": rising}, epochs=100, **settings)

    return make


@pytest.mark.parametrize(
    "m2, verdict",
    [(45, "reproduced"), (24, "reproduced"), (23, "inconclusive"), (20, "contradicted")],
)
def test_weight_decay_converges_later(reaching, m2, verdict):
    """m1 takes 20 epochs, and 1.2 times as many are asked for."""
    runs = [reaching(20), reaching(m2, **M2), reaching(90, **M3), reaching(90, weight_decay=0.1)]
    finding = CLAIMS["R31"].judge(runs)
    assert finding.verdict == verdict and len(finding.runs) == 2
    assert f"from epoch 20 on without, {m2} with" in finding.measured
    assert CLAIMS["R31"].judge(runs[:1]) is None
    for short in ({"epochs": 60, "steps": 60 * 834}, {"steps": 100 * 40, "train_examples": 5_000}):
        runs[1].result.update(short)
        assert CLAIMS["R31"].judge(runs).verdict == "inconclusive"


@pytest.fixture
def rising(made_up):
    """Make m3: training and test accuracies that rise by so many points each ten epochs."""

    def make(train, test, result=None, **settings):
        metrics = {
            f"{split}/accuracy": [0.3 + points / 1000 * epoch for epoch in range(1, 101)]
            for split, points in (("train", train), ("test", test))
        }
        result = {"epochs": 100, "steps": 100 * 834} | (result or {})
        return made_up(result=result, metrics=metrics, epochs=100, **{**M3, **settings})

    return make


@pytest.mark.parametrize(
    "train, test, verdict",
    [
        (2.0, 1.0, "reproduced"),
        (2.0, 0.4, "inconclusive"),
        (0.4, 0.4, "contradicted"),
        (-1.0, -1.0, "contradicted"),
    ],
)
def test_with_all_three_regularisers_accuracies_still_rise(rising, train, test, verdict):
    """Half a point in ten epochs is asked for."""
    finding = CLAIMS["R32"].judge([rising(train, test)])
    assert finding.verdict == verdict
    assert f"rises by {train:.2f} points, test accuracy by {test:.2f}" in finding.measured
    for short in ({"epochs": 60, "steps": 60 * 834}, {"steps": 100 * 40, "train_examples": 5_000}):
        assert CLAIMS["R32"].judge([rising(train, test, short)]).verdict == "inconclusive"
    assert CLAIMS["R32"].judge([rising(train, test, dropout_rate=0.0)]) is None


def test_a_short_training_has_no_two_spans_to_compare(made_up):
    curves = {"train/accuracy": [0.5] * 10, "test/accuracy": [0.5] * 10}
    assert CLAIMS["R32"].judge([made_up(metrics=curves, **M3)]) is None


def test_accuracies_of_every_twentieth_epoch_show_no_rise():
    assert saturation.rise([20, 40, 60, 80, 100], [0.1, 0.2, 0.3, 0.4, 0.5]) is None
    assert saturation.rise(range(81, 101), [0.5] * 10 + [0.6] * 10) == pytest.approx(0.1)

"""Figures and tables from made-up runs: what is drawn, line by line, and what is written."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from repro import papers
from repro.reporting import results


@pytest.fixture
def draw():
    """Draw a figure of the paper, or make its table."""
    yield lambda name, runs: papers.figure("randomization", name)(runs)
    plt.close("all")


def labelled(axes):
    """Label -> (x, y) of every line that a legend names and that is not empty."""
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    drawn = {line.get_label(): tuple(map(list, line.get_data())) for line in lines}
    return {label: data for label, data in drawn.items() if data[0]}


def styled(axes, style):
    """(x, y) of every line of a style, such as `:`, that is not empty."""
    data = [line.get_data() for line in axes.lines if line.get_linestyle() == style]
    return [(list(x), list(y)) for x, y in data if len(x)]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


KINDS = ("none", "random_labels", "shuffled_pixels", "random_pixels", "gaussian")
NAMES = ("true labels", "random labels", "shuffled pixels", "random pixels", "Gaussian")


def test_learning_curves(draw, made_up):
    """Figure 1a: the loss over minibatches against thousand steps; the paper's curves beside."""
    curves = [[2.0 / (n + i) for n in range(1, 4)] for i in range(5)]
    runs = [
        made_up(metrics={"train/running_loss": curve, "train/loss": [9, 9, 9]}, corruption=kind)
        for curve, kind in zip(curves, KINDS)
    ]
    ours, paper = draw("fig1a", runs[::-1]).axes
    assert labelled(ours) == {
        name: ([0.391, 0.782, 1.173], curve) for name, curve in zip(NAMES, curves)
    }
    assert ours.get_title() == "ours: inception, 50,000 images of cifar10"
    assert ours.get_xscale() == "linear"
    published = labelled(paper)
    assert list(published) == list(NAMES) == legend(paper)
    first = {name: (x[0], y[0]) for name, (x, y) in published.items()}
    assert first == {  # as read off the paper, after one epoch of 391 steps
        "true labels": (0.391, 0.8393),
        "random labels": (0.391, 2.3034),
        "shuffled pixels": (0.391, 1.4683),
        "random pixels": (0.391, 2.3057),
        "Gaussian": (0.391, 2.3055),
    }
    colours = [{line.get_label(): line.get_color() for line in a.lines} for a in (ours, paper)]
    assert colours[0] == colours[1]


def test_learning_curves_of_very_different_lengths(draw, made_up):
    curve = {"train/running_loss": [2.0, 1.0]}
    runs = [made_up(metrics=curve, result={"steps": steps}) for steps in (100, 501)]
    ours, _ = draw("fig1a", runs).axes
    assert ours.get_xscale() == "log"


def overfitting(made_up, model, epochs, **settings):
    """Runs at p = 0, 0.5 and 1 that get 98.5 % of the training set right after these epochs."""
    return [
        made_up(
            metrics={"train/accuracy": [0.5] * (epoch - 1) + [0.985, 1.0]},
            model=model,
            corrupt_prob=p,
            corruption="partial_labels",
            result={"test_accuracy": 0.9 - p / 2, "test_accuracy_corrupted_labels": 0.9 - 0.8 * p},
            **settings,
        )
        for p, epoch in zip((0.0, 0.5, 1.0), epochs)
    ]


def test_times_to_overfit(draw, made_up):
    """Figure 1b: epochs over those at p = 0, from runs without regularisers alone."""
    runs = [
        *overfitting(made_up, "inception", (10, 20, 36)),
        *overfitting(made_up, "mlp_1x512", (4, 6, 8))[1:],  # without p = 0 nothing is relative
        *overfitting(made_up, "inception", (1, 2, 3), weight_decay=0.1),
        *overfitting(made_up, "inception", (1, 2, 3), redraw=True)[1:],  # p = 0 is the plain one
        made_up(metrics={"train/accuracy": [0.9]}, model="alexnet"),  # never overfits
    ]
    (axes,) = draw("fig1b", runs).axes
    label = "Inception, 50,000 images\n(10 epochs at p = 0)"
    assert labelled(axes) == {label: ([0.0, 0.5, 1.0], [1.0, 2.0, 3.6])}
    assert "98.5% train accuracy" in axes.get_ylabel()
    dotted = styled(axes, ":")
    assert [y[0] for _, y in dotted] == [1.0, 1.0, 1.0]
    assert [(x[-1], y[-1]) for x, y in dotted] == [(1.0, 3.6), (1.0, 1.548), (1.0, 1.964)]
    assert legend(axes) == [label, "published"]


def test_networks_on_fewer_images_have_lines_of_their_own(draw, made_up):
    """Their mean over seeds, relative to their own p = 0, never mixed with those on all images."""
    runs = overfitting(made_up, "mlp_1x512", (10, 20, 30))
    for seed, epochs in enumerate(((40, 60, 100), (60, 90, 200))):
        for run in overfitting(made_up, "mlp_1x512", epochs, seed=seed):
            run.result.update(train_examples=5000, test_accuracy=0.3 + 0.1 * seed)
            runs.append(run)
    (axes,) = draw("fig1b", runs).axes
    assert labelled(axes) == {
        "MLP1x512, 50,000 images\n(10 epochs at p = 0)": ([0.0, 0.5, 1.0], [1.0, 2.0, 3.0]),
        "MLP1x512, 5,000 images\n(50 epochs at p = 0)": ([0.0, 0.5, 1.0], [1.0, 1.5, 3.0]),
    }
    clean = labelled(draw("fig1c", runs).axes[1])
    assert clean["MLP1x512, 50,000 images"][1] == pytest.approx([0.1, 0.35, 0.6])
    assert clean["MLP1x512, 5,000 images"][1] == pytest.approx([0.65] * 3)


def test_test_errors_on_corrupted_and_on_clean_labels(draw, made_up):
    """Figure 1c: on the left the test labels are corrupted with the same p, on the right clean."""
    runs = [
        *overfitting(made_up, "alexnet", (1, 1, 1))[::-1],
        *overfitting(made_up, "inception", (1, 1, 1), augment="crop"),
    ]
    corrupted, clean = draw("fig1c", runs).axes
    assert "corrupted" in corrupted.get_title() and "clean" in clean.get_title()
    for axes, errors in ((corrupted, [0.1, 0.5, 0.9]), (clean, [0.1, 0.35, 0.6])):
        ((x, y),) = labelled(axes).values()
        assert list(labelled(axes)) == ["AlexNet, 50,000 images"]
        assert x == [0.0, 0.5, 1.0]
        assert y == pytest.approx(errors)
        published = [y[0] for _, y in styled(axes, ":")]  # Inception, AlexNet, MLP at p = 0
        assert published == [0.1285, 0.3011, 0.4951]


def test_accuracies_with_fewer_regularisers(draw, made_up):
    """Figure 2a: test accuracy as a line, training accuracy dashed, in the colour of its run."""
    metrics = {"test/accuracy": [0.5, 0.6], "train/accuracy": [0.7, 0.9]}
    runs = [
        made_up(metrics=metrics, augment="crop,flip", weight_decay=5e-4, dropout_rate=0.2),
        made_up(metrics=metrics, weight_decay=5e-4),
        made_up(metrics={"test/accuracy": [0.1], "train/accuracy": [0.2]}),
    ]
    (axes,) = draw("fig2a", runs).axes
    assert labelled(axes) == {
        "test, crop, flip, weight decay at 0.0005, dropout 0.2": ([1, 2], [0.5, 0.6]),
        "test, weight decay at 0.0005": ([1, 2], [0.5, 0.6]),
        "test, none": ([1], [0.1]),
    }
    assert styled(axes, "--") == [([1, 2], [0.7, 0.9]), ([1, 2], [0.7, 0.9]), ([1], [0.2])]
    assert legend(axes)[-2:] == ["train", "the EPFL student rerun, test"]
    solid, dashed = axes.lines[0], axes.lines[1]
    assert solid.get_color() == dashed.get_color()


def test_accuracies_with_and_without_batch_norm(draw, made_up):
    """Figure 2b: the published test curves are dotted; the axis ends after our longest run."""
    runs = [
        made_up(metrics={"test/accuracy": [0.5, 0.6, 0.7], "train/accuracy": [0.6, 0.8, 1.0]}),
        made_up(
            metrics={"test/accuracy": [0.1, 0.2], "train/accuracy": [0.1, 0.2]},
            model="inception_no_bn",
            learning_rate=0.02,
        ),
    ]
    (axes,) = draw("fig2b", runs).axes
    assert labelled(axes) == {
        "test, inception (lr 0.1)": ([1, 2, 3], [0.5, 0.6, 0.7]),
        "test, inception_no_bn (lr 0.02)": ([1, 2], [0.1, 0.2]),
    }
    assert [(x[0], y[0]) for x, y in styled(axes, ":")] == [(1, 0.689), (1, 0.6606)]
    assert axes.get_xlim() == (0, 4)
    assert legend(axes) == [
        "test, inception (lr 0.1)",
        "test, inception_no_bn (lr 0.02)",
        "train",
        "published, test",
    ]


def test_labels_drawn_afresh(draw, made_up):
    """By rising p, p = 0 and 1 too, each with its ceiling; pixels are another matter."""

    def metrics(p):
        return {"train/accuracy": [0.5 - p / 4], "test/accuracy": [0.6]}

    runs = [
        made_up(metrics=metrics(p), corruption="partial_labels", corrupt_prob=p, redraw=True)
        for p in (1.0, 0.0, 0.5)
    ]
    runs.append(made_up(metrics=metrics(0), corruption="gaussian", redraw=True))
    figure = draw("redraw", runs)
    (axes,) = figure.axes
    train = {k: v for k, v in labelled(axes).items() if k.endswith("train")}
    assert train == {
        "p = 0, train": ([1], [0.5]),
        "p = 0.5, train": ([1], [0.375]),
        "p = 1, train": ([1], [0.25]),
    }
    assert [y for _, y in styled(axes, "--")] == [[0.6]] * 3
    ceilings = [y[0] for _, y in styled(axes, ":")]
    assert ceilings == pytest.approx([1.0, 0.55, 0.1])
    assert len(figure.legends[0].get_texts()) == 6


def test_table_of_regularisers(draw, made_up):
    """Table 1: a row for each run that the paper has one for, in the paper's order."""
    runs = [
        made_up(
            model="mlp_1x512",
            corruption="random_labels",
            result={"parameters": 1_209_866, "test_accuracy": 0.1},
        ),
        made_up(weight_decay=5e-4, augment="crop", result={"train_accuracy": 0.9994}),
        made_up(),
        made_up(corrupt_prob=0.5),  # in no row of the paper's
        made_up(augment="flip"),
        made_up(model="wrn_28_1"),
    ]
    table = draw("table1", runs)
    assert table.columns[4:8] == ["train %", "published", "test %", "published"]
    # 80 % of 10,000 images: sqrt(0.8 * 0.2 / 10,000) = 0.40 points; 10 %: 0.30 points
    missing = [row for row in table.rows if "not run" in row]
    assert len(missing) == 19 - 3
    assert missing[0] == [
        *("inception", "true", "yes", "no"),
        *("not run", "100.00", "not run", "89.31", "–"),
    ]
    assert [row for row in table.rows if row not in missing] == [
        [
            "inception (1,649,402)",
            "true",
            "yes",
            "0.0005",
            "99.94",
            "100.00",
            "80.00 ± 0.40",
            "89.05",
            "50,000",
        ],
        [
            "inception (1,649,402)",
            "true",
            "no",
            "no",
            "100.00",
            "100.00",
            "80.00 ± 0.40",
            "85.75",
            "50,000",
        ],
        [
            "mlp_1x512 (1,209,866)",
            "random",
            "no",
            "no",
            "100.00",
            "99.34",
            "10.00 ± 0.30",
            "10.61",
            "50,000",
        ],
    ]
    assert "standard error of the test set" in table.note
    assert results.protocol(runs) in table.note


def test_table_of_random_labels_under_regularisers(draw, made_up):
    """Table 4: weight decay of any size, augmentation by its operations, random labels alone."""
    random = {"corruption": "random_labels"}
    runs = [
        made_up(**random, augment="flip,rotation", result={"train_accuracy": 0.9}),
        made_up(**random, model="alexnet", weight_decay=4e-3, result={"train_accuracy": 0.5}),
        made_up(**random, model="alexnet", weight_decay=5e-4, result={"train_accuracy": None}),
        made_up(**random),  # without a regulariser
        made_up(weight_decay=5e-4),  # true labels
        made_up(**random, augment="crop,flip"),  # not in the paper
    ]
    table = draw("table4", runs)
    missing = [row for row in table.rows if "not run" in row]
    assert [row[:2] for row in missing] == [
        ["inception", "weight decay"],
        ["mlp_3x512", "weight decay"],
        ["mlp_1x512", "weight decay"],
        ["inception", "crop"],
    ]
    assert [row for row in table.rows if row not in missing] == [
        ["alexnet", "weight decay at 0.004", "50.00", "failed to converge", "50,000"],
        ["alexnet", "weight decay at 0.0005", "–", "failed to converge", "50,000"],
        ["inception", "flip, rotation", "90.00", "99.28", "50,000"],
    ]


def test_table_of_first_epochs(draw, made_up):
    """The loss over minibatches after epoch 1 alone, by what the noise or permutation is of."""

    def run(loss, **settings):
        return made_up(metrics={"train/running_loss": [loss, 1.0]}, **settings)

    runs = [
        run(2.2, corruption="random_pixels"),
        run(2.1, corruption="gaussian", gaussian_moments="image", redraw=True),
        run(2.3, corruption="gaussian"),
        run(2.0, corruption="shuffled_pixels"),  # in no row
    ]
    assert draw("first_epoch", runs).rows == [
        ["gaussian", "dataset", "once", "2.3000", "2.3055 (paper)", "50,000"],
        ["gaussian", "image", "at every access", "2.1000", "2.09 (student rerun)", "50,000"],
        ["random_pixels", "entries", "once", "2.2000", "2.3057 (paper)", "50,000"],
    ]


def interpolating(made_up, n, error, **settings):
    """A made-up run of a kernel on n images, with this test error on 10,000."""
    result = {
        "train_examples": n,
        "test_error": error,
        "test_accuracy": 1 - error,
        "test_error_se": (error * (1 - error) / 10_000) ** 0.5,
        "train_errors": 0,
        "unavoidable_errors": 0,
        "merged": 0,
        "largest_residual": 1e-9,
        "rkhs_norm": 20.0,
        "normalized_margin": 0.05,
        "test_margin": 0.4,
        "condition_number": 1e4,
        "protocol": f"gaussian kernels on {n:,} images, seed 0",
    }
    return made_up(stage="kernel", train_examples=n, result=result, **settings)


def test_errors_of_kernels_by_size(draw, made_up):
    """A power law 6 n^-0.3 is extrapolated as itself, from where the runs end to all images."""
    sizes = [1000, 2000, 5000]
    law = [6 * n**-0.3 for n in sizes]
    runs = [
        *(interpolating(made_up, n, error) for n, error in zip(sizes[::-1], law[::-1])),
        interpolating(made_up, 1000, 0.5, kernel="laplace"),
        interpolating(made_up, 1000, 0.9, corruption="random_labels"),
        interpolating(made_up, 1000, 0.9, weight_decay=0.1),
    ]
    (axes,) = draw("kernel_curve", runs).axes
    ((x, y),) = [(x, y) for x, y in styled(axes, "--")]
    assert (x[0], x[-1]) == pytest.approx((5000, 50_000))
    assert y == pytest.approx([6 * n**-0.3 for n in x], rel=1e-9)
    names = [t.get_text() for t in axes.figure.legends[0].get_texts()]
    assert set(names) == {
        "extrapolated: c n^b through all points",
        "published, cifar10, Gaussian kernel",
        "cifar10: gaussian of pixels, gamma 0.02",
        "cifar10: laplace of pixels, gamma 0.1",
    }
    drawn = {c.get_label(): c.lines[0].get_data() for c in axes.containers}
    assert list(drawn["cifar10: gaussian of pixels, gamma 0.02"][0]) == sizes
    assert list(drawn["cifar10: gaussian of pixels, gamma 0.02"][1]) == law
    star = next(line for line in axes.lines if line.get_marker() == "*")
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([50_000], [0.46])
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_table_of_kernels(draw, made_up):
    """Table 3: the published number stands beside true labels alone, by kernel and features."""
    runs = [
        interpolating(made_up, 5000, 0.6),
        interpolating(made_up, 5000, 0.9, corruption="random_labels"),
        interpolating(
            made_up,
            1000,
            0.2,
            kernel="linear",
            features="filters",
            filters=2000,
            weight_decay=0.001,
        ),
        interpolating(made_up, 1000, 0.1, dataset="mnist", kernel="quartic"),
    ]
    table = draw("kernels", runs)
    # 60 % of 10,000 images: sqrt(0.6 * 0.4 / 10,000) = 0.49 points, 90 and 10 %: 0.30, 20 %: 0.40
    assert [[row[i] for i in (0, 1, 2, 3, 4, 5, 11, 12)] for row in table.rows] == [
        [
            "cifar10",
            "gaussian (gamma 0.02)",
            "pixels",
            "true",
            "no",
            "5,000",
            "60.00 ± 0.49",
            "46 (50,000 images)",
        ],
        [
            "cifar10",
            "gaussian (gamma 0.02)",
            "pixels",
            "random",
            "no",
            "5,000",
            "90.00 ± 0.30",
            "–",
        ],
        [
            "cifar10",
            "linear",
            "2,000 filters (patches)",
            "true",
            "0.001",
            "1,000",
            "20.00 ± 0.40",
            "15 (50,000 images, 32,000 filters)",
        ],
        [
            "mnist",
            "quartic",
            "normalized",
            "true",
            "no",
            "1,000",
            "10.00 ± 0.30",
            "1.18 (60,000 images; Recht)",
        ],
    ]
    assert table.rows[0][6:11] == ["0", "20", "5.00e-02", "0.40", "1.0e+04"]
    assert len(table.columns) == 13 and "merged" not in table.note


def test_table_of_kernels_says_which_errors_equal_images_make(draw, made_up):
    """Two equal pairs with different labels leave two errors that no function avoids."""
    run = interpolating(made_up, 5000, 0.9, corruption="random_labels")
    run.result.update(merged=3, contradictory=4, unavoidable_errors=2, train_errors=2)
    table = draw("kernels", [interpolating(made_up, 5000, 0.6), run])
    assert [row[5:7] for row in table.rows] == [
        ["5,000", "0"],
        ["5,000 (3 merged)", "2 (2 unavoidable)"],
    ]
    assert "errors cannot be avoided" in table.note


def test_weights_of_theorem_1(draw, made_up):
    """Weights, and all connections of deep ones; what was found; the width of deep ones."""

    def run(n, error, certified=False, **settings):
        result = {
            "train_examples": n,
            "dimension": 100,
            "weights": 2 * n + 100,
            "max_error": error,
            "smallest_gap": 1 / n**2,
            "certified": certified,
            "connections": 5 * n,
            "width": n // 2 + 4,
        }
        return made_up(stage="theorem1", train_examples=n, result=result, **settings)

    runs = [run(3000, 1e-60, True), run(10, 1e-14), run(1000, 1e-9), run(1000, 1e-8, layers=3)]
    weights, errors, widths = draw("theorem1", runs).axes
    assert labelled(widths) == {"gaussian, n = 1,000": ([3], [504])}
    assert [line for line in styled(widths, ":") if line[0]] == [([3], [1000 / 3])]
    assert len(draw("theorem1", runs[:3]).axes) == 2  # without deep ones
    drawn = labelled(weights)
    assert drawn["gaussian, d = 100"] == ([10, 1000, 3000], [120, 2100, 6100])
    assert drawn["gaussian, d = 100, deep: all connections"] == ([1000], [5000])
    ((x, y),) = [line for line in styled(weights, ":") if len(line[0]) > 1]
    assert y == pytest.approx([2 * n + 100 for n in x])
    found = labelled(errors)
    assert found["largest error, measured"] == ([10, 1000], [1e-14, 1e-9])
    assert found["largest error, proved bound"] == ([3000], [1e-60])
    assert found["smallest gap of projections"][1] == pytest.approx([1e-2, 1e-6, 1 / 9e6])


def test_every_figure_and_table_is_tested_here():
    """A new one is to be drawn by a test of its own."""
    known = {
        **papers.module("randomization", "figures").FIGURES,
        **papers.module("randomization", "tables").TABLES,
    }
    here = Path(__file__).parent
    text = "".join(
        (here / f"test_{part}.py").read_text() for part in ("figures", "order", "table2")
    )
    assert [name for name in known if f'draw("{name}"' not in text] == []

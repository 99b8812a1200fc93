"""Table 2 and its claims on made-up runs whose answers are known."""

from repro import papers
from repro.randomization.claims import CLAIMS
from repro.reporting.results import Run

IMAGES = 1_281_167


def draw(name, runs):
    return papers.figure("randomization", name)(runs)


def made(tmp_path, train, test, best=None, labels="none", epochs=250, **changes):
    """A training of Inception V3; best: test accuracies before the end."""
    settings = {"stage": "train", "model": "inception_v3", "dataset": "imagenet2012", "seed": 0}
    settings |= {"corruption": labels, "corrupt_prob": 0.0, "augment": [], "redraw": False}
    settings |= {"weight_decay": 0.0, "dropout_rate": 0.0} | changes
    last = {
        f"{split}/{name}": value
        for split, name, value in zip(
            ("train", "train", "test", "test"),
            ("accuracy", "top5_accuracy") * 2,
            (*train, *test),
        )
    }
    rows = [{"epoch": 1, "test/accuracy": a, "test/top5_accuracy": b} for a, b in best or []]
    result = {"status": "complete", "train_accuracy": train[0], "test_accuracy": test[0]}
    result |= {"train_examples": IMAGES, "test_examples": 50_000, "epochs": epochs}
    return Run(tmp_path, settings, result, [*rows, {"epoch": epochs, **last}])


def test_every_row_is_there_run_or_not(tmp_path):
    alone = made(tmp_path, (0.9953, 1.0), (0.598, 0.8038), [(0.6316, 0.8449), (0.61, 0.9)])
    table = draw("table2", [alone])
    assert len(table.rows) == 7 and sum("not run" in row for row in table.rows) == 6
    elsewhere = draw("table2", [made(tmp_path, (0.9, 1.0), (0.5, 0.8), dataset="cifar10")])
    assert elsewhere.rows[3][4:6] == ["90.00, 100.00", "–"]  # nothing published to stand beside
    (row,) = [row for row in table.rows if "not run" not in row]
    assert row[:4] == ["true", "no", "no", "no"]
    assert row[4:] == [
        *("99.53, 100.00", "99.53, 100.00"),
        *("59.80, 80.38", "59.80, 80.38"),
        *("63.16, 90.00", "63.16, 84.49"),
    ]


def test_random_labels_of_imagenet(tmp_path):
    def judge(accuracy, **changes):
        run = made(tmp_path, (accuracy, 1.0), (0.001, 0.005), labels="random_labels", **changes)
        finding = CLAIMS["R28"].judge([run])
        return finding and finding.verdict

    assert judge(0.952) == "reproduced" and judge(0.5) == "contradicted"
    assert judge(0.5, epochs=20) == "inconclusive"  # cut short
    assert judge(0.952, weight_decay=4e-5) is None and judge(0.952, dataset="cifar10") is None


def test_regularisers_on_imagenet(tmp_path):
    def judge(augmented, decayed, plain, **changes):
        runs = [
            made(tmp_path, (1.0, 1.0), (augmented, 0.9), augment=["flip"], **changes),
            made(tmp_path, (1.0, 1.0), (decayed, 0.9), weight_decay=4e-5, **changes),
            made(tmp_path, (1.0, 1.0), (plain, 0.9), **changes),
        ]
        return CLAIMS["R29"].judge(runs).verdict

    assert judge(0.7295, 0.6718, 0.5980) == "reproduced"
    assert judge(0.7295, 0.6718, 0.5980, epochs=30) == "inconclusive"
    assert judge(0.60, 0.67, 0.72) == "contradicted"
    assert judge(0.6720, 0.6718, 0.5980) == "inconclusive"  # within the error of 50,000 images

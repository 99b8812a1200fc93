"""What Gotmare et al. 2018 leave unsaid of Adam and of how curves are trained, for tools/tune."""

from repro.tuning import Sweep

SPLITS = ("train[:80%]", "train[80%:90%]")  # of which the paper's validation images are no part


SWEEPS = {
    "adam": Sweep(
        says="Adam's rate of mode B",
        space={"adam_learning_rate": (1e-3, 1e-4, 3e-4, 3e-3)},
        objective=lambda result: result["test_accuracy"],
        judged_by="accuracy of mode B on held-out training examples after the last epoch",
        flags={"stage": "endpoint", "mode": "B"},
        splits=SPLITS,
    ),
    "curve": Sweep(
        says="rate, epochs and schedule of a curve's training",
        space={
            "curve_learning_rate": (0.015, 0.005, 0.05),
            "curve_epochs": (80, 40, 160),
            "curve_schedule": ("garipov", "constant"),
        },
        objective=lambda result: 1 - result["curve_metrics"]["test_error"]["maximum"],
        judged_by="lowest accuracy along the curve from G to A on held-out training examples",
        flags={"stage": "evaluate", "from": "G", "to": "A"},
        splits=SPLITS,
    ),
}

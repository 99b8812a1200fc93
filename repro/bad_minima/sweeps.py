"""What Liu et al. 2020 leave unsaid of their adversary, searched by tools/tune."""

from repro.tuning import Sweep


def _fitted(result) -> bool:
    """Whether both trainings ended with 99 % of their images right."""
    return min(result["train_accuracy"], result["pretrain_accuracy"]) >= 0.99


SWEEPS = {
    "adversary": Sweep(
        says="copies R and zeroed share N of Algorithm 1, of which the code has two settings",
        space={"replicas": (1, 2, 5, 10), "zero_out": (0.1, 0.05, 0.2)},
        objective=lambda result: -result["test_accuracy"] if _fitted(result) else -1.0,
        judged_by="accuracy on held-out training examples after vanilla SGD has fitted the others "
        "from the adversarial start, the lower the better (published: up to 40 points lower)",
        flags={"init": "adversarial", "sharpness_examples": 0},
        splits=("train[:90%]", "train[90%:]"),
        epochs=45,
        diverged=-1.0,
    ),
}

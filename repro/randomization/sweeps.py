"""What Zhang et al. 2017 leave unsaid of their trainings, searched by tools/tune."""

from repro.tuning import Sweep

ACCURACY = "accuracy on held-out training examples after the last epoch"
SPLITS = ("train[:90%]", "train[90%:]")
TRUE_LABELS = {"corruption": "none"}


def accuracy(result) -> float:
    """Return the accuracy on what is held out."""
    return result["test_accuracy"]


SWEEPS = {
    "unsaid": Sweep(
        says="batch size, dropout and weight decay of any network",
        space={
            "batch_size": (128, 32, 64, 256),
            "dropout_rate": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
            "weight_decay": (0.0, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3),
        },
        objective=accuracy,
        judged_by=ACCURACY,
        flags=TRUE_LABELS,
        splits=SPLITS,
        epochs=30,
        applies_to=("model", "dataset", "corruption"),
    ),
    "augmentation": Sweep(
        says="how far random changes of colour go",
        space={"augment_ranges": ("tensorflow", "half", "quarter", "epfl")},
        objective=accuracy,
        judged_by=ACCURACY,
        flags=TRUE_LABELS | {"augment": "crop,flip,brightness,saturation,hue,contrast"},
        splits=SPLITS,
        epochs=30,
    ),
    "no_batch_norm": Sweep(
        says="rate and initial weights of Inception without batch norm",
        space={
            "learning_rate": (0.1, 0.05, 0.02, 0.01),
            "initializer": ("glorot_uniform", "he_normal"),
        },
        objective=accuracy,
        judged_by=ACCURACY,
        flags=TRUE_LABELS | {"model": "inception_no_bn"},
        splits=SPLITS,
        epochs=30,
    ),
}

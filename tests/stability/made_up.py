"""Made-up runs of this paper, and verdicts on them."""

from repro.reporting.results import Run
from repro.stability.claims import CLAIMS

N = 1000


def trained(tmp_path, eta, batch, sharpness, nonuniformity, **changes):
    """A run of --stage=train; changes are settings where they are, else results."""
    settings = {
        "stage": "train",
        "model": "vgg_small" if changes.get("dataset") == "cifar10" else "fnn",
        "dataset": "fashion_mnist",
        "learning_rate": eta,
        "batch_size": batch,
        "momentum": 0.0,
        "wrong_examples": 0,
        "gain": 1.0,
        "train_examples": N,
        "seed": 0,
        "stop_loss": 1e-4,
        "iterations": 200_000,
    }
    result = {
        "status": "complete",
        "fitted": True,
        "iterations": 100,
        "train_accuracy": 1.0,
        "test_accuracy": 0.8,
        "train_examples": N,
        "test_examples": 10_000,
        "parameters": 898_510,
        "sharpness": {"value": sharpness},
        "nonuniformity": {"value": nonuniformity},
    }
    given = {k for k in changes if k in settings and k != "train_examples"}  # wrong labels count
    settings |= {k: changes[k] for k in given}
    result |= {k: v for k, v in changes.items() if k not in given}
    edge = 2 * (1 + settings["momentum"]) / eta
    return Run(tmp_path / "run", settings, result | {"sharpness_margin": sharpness / edge}, [])


def judge(claim, runs):
    finding = CLAIMS[claim].judge(runs)
    return finding and finding.verdict

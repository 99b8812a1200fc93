"""Every binary on three virtual devices gives the losses of one device, in float64 to 1e-12.

Two devices are tested with each paper's experiment, two workers in test_multi_worker.py.
"""

from pathlib import Path

import numpy as np
import pytest

FLOAT64 = Path(__file__).parent / "float64_run.py"
DIGITS = ("--dataset=digits", "--nodownload")
# Batches that three divide; shares of evaluation batches that they do not.
BINARIES = {
    "stability": [
        *("--train_examples=40", "--learning_rate=0.5", "--batch_size=16", "--momentum=0.5"),
        *("--stop_loss=0", "--iterations=9", "--measure_every=3", "--max_iterations=8"),
    ],
    "randomization": [
        *("--model=mlp_1x512", "--train_examples=100", "--batch_size=33", "--epochs=3"),
        *("--corrupt_prob=0.5", "--weight_decay=0.01"),
    ],
    "bad_minima": [
        *("--model=resnet18", "--width=0.0625", "--train_examples=24", "--batch_size=12"),
        *("--epochs=2", "--eval_every=1", "--momentum=0.9", "--weight_decay=5e-4", "--augment"),
        "--sharpness_examples=0",
    ],
    "mode_connectivity": [
        *("--stage=endpoint", "--mode=G", "--model=mlp_1x512", "--train_examples=100"),
        *("--batch_size=33", "--epoch_scale=0.015", "--dropout_rate=0"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("paper", BINARIES)
def test_three_devices_equal_one(python, tmp_path, metrics_of, paper):
    """Sums over shares are rounded otherwise, 2^-53 an operation, over few steps."""
    for devices, strategy in ((1, "default"), (3, "mirrored")):
        flags = (*DIGITS, *BINARIES[paper], f"--strategy={strategy}")
        done = python(FLOAT64, devices, paper, *flags, f"--run_dir={tmp_path / strategy}")
        assert done.returncode == 0, done.stderr
    one, three = (metrics_of(tmp_path / name) for name in ("default", "mirrored"))
    assert len(one) == len(three) > 1
    for row, other in zip(one, three):
        assert other == pytest.approx(row, rel=1e-12)
    losses = [row[name] for row in one for name in row if name.endswith("loss")]
    assert losses and np.isfinite(losses).all()

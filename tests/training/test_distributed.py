"""Every binary on two and three virtual devices gives the losses of one, in float64 to 1e-12.

Two workers are tested in test_multi_worker.py.
"""

from pathlib import Path

import numpy as np
import pytest

FLOAT64 = Path(__file__).parent / "float64_run.py"
DIGITS = ("--dataset=digits", "--nodownload")
# By paper and what is run of it. Batches that two and three divide; shares of evaluation batches,
# and of students, that they do not.
BINARIES = {
    "stability": [
        *DIGITS,
        *("--train_examples=40", "--learning_rate=0.5", "--batch_size=16", "--momentum=0.5"),
        *("--stop_loss=0", "--iterations=9", "--measure_every=3", "--max_iterations=8"),
    ],
    "randomization": [
        *(*DIGITS, "--model=mlp_1x512", "--train_examples=100", "--batch_size=30", "--epochs=3"),
        *("--corrupt_prob=0.5", "--weight_decay=0.01"),
    ],
    "bad_minima": [
        *(*DIGITS, "--model=resnet18", "--width=0.0625", "--train_examples=24"),
        *("--batch_size=12", "--epochs=2", "--eval_every=1", "--momentum=0.9"),
        *("--weight_decay=5e-4", "--augment", "--sharpness_examples=0"),
    ],
    "bad_minima from an adversarial start": [
        *(*DIGITS, "--model=mlp_1x512", "--train_examples=40", "--batch_size=12"),
        *("--init=adversarial", "--pretrain_epochs=2", "--epochs=2", "--eval_every=1"),
        "--sharpness_examples=0",
    ],
    "teacher_student": [
        *("--hidden=1", "--num_students=260", "--adam_steps=1500", "--learning_rate=0.01"),
        "--newton_iterations=100",
    ],
    "mode_connectivity": [
        *("--stage=endpoint", "--mode=G", *DIGITS, "--model=mlp_1x512", "--train_examples=100"),
        *("--batch_size=30", "--epoch_scale=0.05", "--dropout_rate=0"),
    ],
    "mode_connectivity along a curve of two endpoints": [
        *("--stage=evaluate", "--from=G", "--to=A", "--points=3", *DIGITS, "--model=mlp_1x512"),
        *("--train_examples=100", "--eval_examples=50", "--batch_size=48", "--epoch_scale=0.05"),
        *("--large_batch_size=96", "--dropout_rate=0"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARIES)
def test_several_devices_equal_one(python, tmp_path, metrics_of, name):
    """Sums over shares are rounded otherwise, 2^-53 an operation, over few steps."""
    paper, found = name.split()[0], []
    for devices in (1, 2, 3):
        run = tmp_path / str(devices) / "run"
        flags = (*BINARIES[name], f"--strategy={'default' if devices == 1 else 'mirrored'}")
        done = python(FLOAT64, devices, paper, *flags, f"--run_dir={run}")
        assert done.returncode == 0, done.stderr
        found.append(metrics_of(run))
    one, *others = found
    assert len(one) > 1
    for rows in others:
        assert len(rows) == len(one)
        for row, expected in zip(rows, one):
            assert set(row) == set(expected)
            for key, value in expected.items():
                # A margin is a difference of two logits of one example, which no mean smooths.
                near = {"abs": 1e-11} if key.startswith("margins/") else {"rel": 1e-12}
                assert row[key] == pytest.approx(value, **near), key
    losses = [row[key] for row in one for key in row if key.endswith(("loss", "nll"))]
    assert losses and np.isfinite(losses).all()

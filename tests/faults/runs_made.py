"""The runs that tests of accidents interrupt: every binary, small."""

import os

import pytest

MANY = os.environ.get("REPRO_FAULTS") == "many"
SMALL = ("--dataset=digits", "--train_examples=100", "--batch_size=50", "--download=false")
MODES = (*SMALL, "--model=mlp_1x512", "--eval_examples=50", "--epoch_scale=0.05")
QUICK = ("--measure_every=20", "--max_iterations=3")

FEW = {  # cheap enough for every time that tests run, see walk.py
    "checkpoints": ("walk", "checkpoints"),
    "snapshots": ("walk", "snapshots"),
}
MORE = {  # every binary
    "randomization": ("randomization", *SMALL, "--model=mlp_1x512", "--epochs=2"),
    "students": ("teacher_student", "--hidden=3", "--num_students=2", "--adam_steps=2000"),
    "curve": ("mode_connectivity", "--stage=curve", *MODES, "--large_batch_size=100"),
    "toy": (
        *("bad_minima", "--stage=toy", "--pretrain_epochs=200", "--fine_tune_epochs=200"),
        *("--vanilla_epochs=100", "--sota_epochs=100"),
    ),
    "bad start": (
        *("bad_minima", "--model=resnet18", "--width=0.0625", "--dataset=digits"),
        *("--train_examples=32", "--batch_size=16", "--init=adversarial"),
        *("--pretrain_epochs=2", "--epochs=2", "--eval_every=1", "--download=false"),
    ),
    "stability": ("stability", *SMALL, "--model=fnn", "--iterations=60", *QUICK),
    "escape": ("stability", "--stage=escape", *SMALL, "--start_iterations=40", "--iterations=40"),
    "slides": ("teacher_student", "--stage=slides", "--num_students=2", "--adam_steps=500"),
    "graph": (
        *("teacher_student", "--stage=graph", "--hidden=2", "--num_students=2"),
        *("--adam_steps=100", "--newton_iterations=20"),
    ),
}
RUNS = FEW | MORE


def slow(value, whether=True):
    """Return a value of a parametrised test, marked as slow or not."""
    return pytest.param(value, marks=pytest.mark.slow if whether else [])

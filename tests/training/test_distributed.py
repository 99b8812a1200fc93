"""Every stage on two and three virtual devices gives the numbers of one, in float64 to 1e-12.

Stages that cannot be distributed refuse it. Two workers are tested in test_multi_worker.py.
"""

from pathlib import Path

import pytest

from repro import command_line, papers
from repro.fields import fields
from repro.settings import settle

FLOAT64 = Path(__file__).parent / "float64_run.py"
SECONDS = 900  # that a run may take, beside other programs too
DIGITS = ("--dataset=digits", "--nodownload")
ESCAPE = (
    *("--stage=escape", *DIGITS, "--model=fnn_tenth", "--train_examples=40"),
    *("--learning_rate=0.5", "--iterations=4", "--measure_every=2", "--max_iterations=4"),
)
BY_STEPS = ("--start_learning_rate=0.5", "--start_iterations=60", "--stop_loss=0.08")
POINTS = (
    *(*DIGITS, "--model=mlp_1x512", "--train_examples=100", "--eval_examples=50"),
    *("--batch_size=48", "--dropout_rate=0", "--eval_every=100"),
)
STAGES = {
    (paper, stage): kind for paper in papers.PAPERS for stage, kind in papers.stages(paper).items()
}
ON_ONE_DEVICE = [
    stage for stage, kind in STAGES.items() if "strategy" not in {f.name for f, _ in fields(kind)}
]
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
    "stability from a minimum of GD": [
        *(*ESCAPE, *BY_STEPS, "--batch_size=16", "--momentum=0.5"),
    ],
    "stability from where SGD stopped": [*ESCAPE, *BY_STEPS, "--start_batch_size=16"],
    "stability from a minimum of L-BFGS": [
        *(*ESCAPE, "--start_optimizer=lbfgs", "--start_iterations=9", "--stop_loss=0.05"),
        "--batch_size=16",
    ],
    "teacher_student as on the slides": [
        *("--stage=slides", "--hidden=2", "--num_students=260", "--adam_steps=1500"),
        *("--learning_rate=0.01", "--slsqp_students=3", "--max_perturbations=2"),
    ],
    "teacher_student across widths": [  # a third replica has no student
        *("--stage=graph", "--hidden=2", "--num_students=130", "--adam_steps=1000"),
        *("--learning_rate=0.01", "--newton_iterations=100"),
    ],
    "mode_connectivity on a plane of SGDR's iterates": [
        *("--stage=plane", "--from=sgdr@30", "--to=sgdr@70", "--grid=2", "--curve_epochs=20"),
        *(*POINTS, "--epoch_scale=0.1"),
    ],
    "mode_connectivity along principal directions": [
        *("--stage=slice", "--from=sgdr@70", "--directions=pca", "--dimensions=2", "--points=3"),
        *(*POINTS, "--epoch_scale=0.1"),
    ],
    "mode_connectivity along a random direction with batch norm": [
        *("--stage=slice", "--points=3", *DIGITS, "--model=wrn_28_1", "--train_examples=48"),
        *("--batch_size=48", "--epoch_scale=0.05", "--dropout_rate=0", "--eval_every=100"),
    ],
    "mode_connectivity of networks that vote": [
        *("--stage=ensemble", "--points=3", "--curve_epochs=20", *POINTS),
        *("--large_batch_size=96", "--epoch_scale=0.05"),
    ],
    "mode_connectivity of FGE's networks": [
        *("--stage=endpoint", "--mode=fge", "--cycle_epochs=40", *POINTS, "--epoch_scale=0.05"),
    ],
    "mode_connectivity of trainings that fork": [
        *("--stage=instability", "--fork=20", "--points=3", *POINTS, "--epoch_scale=0.05"),
    ],
    "mode_connectivity of all modes": [
        *("--stage=study", "--points=3", "--curve_epochs=20", "--nosnapshots", *POINTS),
        *("--large_batch_size=96", "--epoch_scale=0.05"),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BINARIES)
def test_several_devices_equal_one(python, tmp_path, numbers_of, assert_near, name):
    """Sums over shares are rounded otherwise, 2^-53 an operation, over few steps."""
    paper, found = name.split()[0], []
    for devices in (1, 2, 3):
        run = tmp_path / str(devices) / "run"
        flags = (*BINARIES[name], f"--strategy={'default' if devices == 1 else 'mirrored'}")
        done = python(FLOAT64, devices, paper, *flags, f"--run_dir={run}", timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        found.append(numbers_of(run))
    one, *others = found
    for other in others:
        assert_near(other, one)


def test_no_stage_is_left_out():
    """A stage is run if it is named above, or if one that is needs it."""
    left = [
        settle(command_line.parse(papers.stages(name.split()[0]), flags)[0])[0]
        for name, flags in BINARIES.items()
    ]
    run = set()
    while left:
        settings = left.pop()
        run.add((settings.paper, settings.stage))
        left += settings.needs()
    assert run == {stage for stage in STAGES if stage not in ON_ONE_DEVICE}


@pytest.mark.parametrize("paper, stage", ON_ONE_DEVICE)
def test_other_stages_refuse_to_be_distributed(python, paper, stage):
    """Why, tests/test_papers.py reads in their help."""
    done = python("-m", f"repro.{paper}", f"--stage={stage}", "--strategy=mirrored")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: --strategy is not for --stage={stage}: ")
    assert len(done.stderr.splitlines()) == 1

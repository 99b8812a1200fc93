"""ImageNet by the real binaries, on the small directory that is prepared like the real one.

The perceptron stands for Inception V3, which wants more memory; its first layer alone has 0.5 GB.
"""

import json
import math
import shutil

import pytest

COMMON = ("--dataset=imagenet2012", "--model=mlp_1x512", "--epochs=1", "--download=false")


@pytest.fixture
def outputs(tmp_path):
    """A folder for runs that is emptied afterwards: each has checkpoints of 3 GB."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_run_on_imagenet(python, imagenet_dir, outputs):
    done = python(
        *("-m", "repro.randomization", *COMMON, "--batch_size=2", "--corrupt_prob=0.5"),
        *(f"--data_dir={imagenet_dir}", f"--run_dir={outputs / 'run'}"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((outputs / "run" / "result.json").read_text())
    assert (result["status"], result["epochs"], result["steps"]) == ("complete", 1, 5)
    assert (result["train_examples"], result["test_examples"]) == (10, 7)
    # 299 x 299 x 3 inputs, 512 units, 1,000 classes
    assert result["parameters"] == (299 * 299 * 3 + 1) * 512 + 513 * 1000
    settings = result["settings"]
    assert (settings["corruption"], settings["corrupt_prob"]) == ("partial_labels", 0.5)
    (row,) = map(json.loads, (outputs / "run" / "metrics.jsonl").read_text().splitlines())
    assert math.isfinite(row["train/running_loss"])
    for split, images in (("train", 10), ("test", 7)):
        assert math.isfinite(row[f"{split}/loss"])
        first, five = row[f"{split}/accuracy"], row[f"{split}/top5_accuracy"]
        assert 0 <= first <= five <= 1
        for share in (first, five):  # every image counts once, and no padding
            assert share * images == pytest.approx(round(share * images), abs=1e-5)


@pytest.mark.slow
def test_a_sweep_on_imagenet(python, imagenet_dir, outputs):
    tuned = outputs / "tuned.json"
    done = python(
        *("-m", "repro.tools.tune", "randomization", *COMMON, "--trials=1"),
        *(f"--data_dir={imagenet_dir}", f"--output_dir={outputs}", f"--tuned_file={tuned}"),
    )
    assert done.returncode == 0, done.stderr
    (sweep,) = json.loads(tuned.read_text()).values()
    assert sweep["applies_to"] == {
        "corruption": "none",
        "dataset": "imagenet2012",
        "model": "mlp_1x512",
    }
    protocol = sweep["protocol"]  # a tenth of the training images is held out
    assert (protocol["train_examples"], protocol["held_out_examples"]) == (9, 1)
    (trial,) = sweep["trials"]
    assert trial["values"] == sweep["values"]
    assert set(sweep["values"]) == {"batch_size", "dropout_rate", "weight_decay"}
    (run,) = outputs.glob("randomization/mlp_1x512-imagenet2012-*/result.json")
    assert json.loads(run.read_text())["test_accuracy"] == sweep["objective"]

"""Bad input ends in one clear line that lists the choices, and nothing is lost."""

import errno
import os

import pytest

from repro import common_flags
from repro.data.datasets import MissingDataError

RUN = ("-m", "repro.randomization")
QUICK = ("--model=mlp_1x512", "--dataset=digits", "--epochs=1")


def only_line(done) -> str:
    """The one line on stderr of a process that failed."""
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    return line


# --- before TensorFlow is imported ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model=lenet"], ["--model=lenet", "inception", "alexnet", "mlp_1x512"]),
        (["--dataset=svhn"], ["--dataset=svhn", "cifar10", "fashion_mnist", "digits"]),
        (["--corruption=blur"], ["--corruption=blur", "random_labels", "shuffled_pixels"]),
        (["--corrupt_prob=1.5"], ["--corrupt_prob=1.5", "[0.0, 1.0]"]),
        (["--corrupt_prob=-0.1"], ["--corrupt_prob=-0.1", "[0.0, 1.0]"]),
        (["--xla", "--deterministic"], ["--xla and --deterministic exclude each other"]),
        (["--epochs=0"], ["--epochs=0"]),
        (["--epochs=many"], ["--epochs=many"]),
        (["--strategy=horovod"], ["default", "mirrored", "multi_worker", "tpu"]),
        (["--precision=float8"], ["float32", "mixed_bfloat16", "mixed_float16"]),
        (["--permute=rows"], ["entries", "positions"]),
        (["--modle=alexnet"], ["Unknown command line flag 'modle'", "model"]),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_flags_list_the_choices(python, tmp_path, arguments, words):
    done = python(*RUN, *arguments, f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    fatal = [line for line in done.stderr.splitlines() if "FATAL" in line]
    assert len(fatal) == 1
    for word in words:
        assert word in done.stderr
    assert not list(tmp_path.iterdir())


def test_stray_arguments(python, tmp_path):
    done = python(*RUN, "alexnet", "cifar10", f"--output_dir={tmp_path}")
    assert done.returncode != 0
    assert "unexpected arguments: alexnet cifar10" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_corrupt_prob_with_another_corruption(python, tmp_path):
    flags = ("--corruption=gaussian", "--corrupt_prob=0.5", f"--output_dir={tmp_path}")
    done = python(*RUN, *flags)
    assert only_line(done) == "error: --corrupt_prob is for partial_labels, not gaussian"


# --- in processes of their own --------------------------------------------------------------------


def test_missing_data(python, tmp_path):
    done = python(
        *RUN, "--dataset=cifar10", f"--data_dir={tmp_path}", "--download=false",
        f"--output_dir={tmp_path / 'out'}",
    )  # fmt: skip
    message = only_line(done)
    assert message.startswith("error: cifar10 is not prepared in")
    for part in ("cifar10", str(tmp_path), "tools/prepare_data cifar10", "--dataset=digits"):
        assert part in message


def test_mirrored_without_gpus(python, tmp_path):
    done = python(*RUN, *QUICK, "--strategy=mirrored", f"--output_dir={tmp_path}")
    assert only_line(done) == (
        "error: --strategy=mirrored found no GPU; use --strategy=default"
    )


def test_a_diverging_run_ends_well(python, tmp_path):
    """Divergence is a result: exit code 0, the step named."""
    flags = (*QUICK, "--learning_rate=1e6", "--epochs=20", f"--run_dir={tmp_path / 'run'}")
    done = python(*RUN, *flags)
    assert done.returncode == 0, done.stderr
    assert "diverged" in done.stdout
    assert "at step" in done.stdout or "after step" in done.stdout
    assert '"status": "diverged"' in (tmp_path / "run" / "result.json").read_text()


# --- in this process: what main's wrapper makes of errors -----------------------------------------


@pytest.fixture
def ends_with(quick, tmp_path):
    """Return the line that a run in tmp_path / "run" ends with."""

    def run(**flags):
        main = common_flags.end_with_one_line(lambda argv: quick(tmp_path / "run", **flags))
        with pytest.raises(SystemExit) as caught:
            main([])
        assert isinstance(caught.value.code, str)  # printed to stderr, exit code 1
        assert "\n" not in caught.value.code
        return caught.value.code

    return run


def test_unknown_augmentation(ends_with):
    line = ends_with(augment=["crop", "blur"])
    assert line == (
        "error: unknown augmentation 'blur'; choose from crop, flip, brightness, saturation, "
        "hue, contrast, rotation"
    )


def test_more_examples_than_there_are(ends_with):
    assert ends_with(train_examples=2000) == (
        "error: train_examples=2000 must lie between 1 and 1438"
    )


def test_slices_of_digits(ends_with):
    line = ends_with(train_split="train[:100]")
    assert line == "error: digits has the splits train and test only, without slices"


def test_a_run_directory_with_other_settings(ends_with, quick, tmp_path):
    quick(tmp_path / "run", epochs=1)
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    line = ends_with(epochs=2, seed=3)
    assert line.startswith(f"error: {tmp_path / 'run'} was made with other settings")
    for flag in ("--epochs=1", "--epochs=2", "--seed=0", "--seed=3"):
        assert flag in line
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["flags.cfg", "environment.json", "result.json"])
def test_a_full_disk(ends_with, quick, tmp_path, name):
    """/dev/full answers writes as a full disk does; with space again, the run goes on."""
    (tmp_path / "run").mkdir()
    partial = tmp_path / "run" / f"{name}.partial"
    os.symlink("/dev/full", partial)
    line = ends_with(epochs=1)
    assert line.startswith("error: the disk is full")
    assert "run the same command again" in line
    assert not (tmp_path / "run" / "result.json").exists()
    partial.unlink()
    assert quick(tmp_path / "run", epochs=1)["status"] == "complete"


@pytest.mark.parametrize("file_system", ["python", "tensorflow"])
def test_a_full_disk_by_whoever_writes(file_system):
    """Checkpoints and summaries are written by TensorFlow, which has errors of its own."""
    import tensorflow as tf

    def write(argv):
        opened = open if file_system == "python" else tf.io.gfile.GFile
        with opened("/dev/full", "w") as file:
            file.write("x" * 2**16)

    with pytest.raises(SystemExit) as caught:
        common_flags.end_with_one_line(write)([])
    assert caught.value.code == f"error: {common_flags.DISK_FULL}"


@pytest.mark.parametrize("error", [ValueError, RuntimeError, MissingDataError])
def test_errors_of_users_are_one_line(error):
    def fail(argv):
        raise error("this and that")

    with pytest.raises(SystemExit) as caught:
        common_flags.end_with_one_line(fail)([])
    assert caught.value.code == "error: this and that"


@pytest.mark.parametrize("error", [KeyError("bug"), OSError(errno.EIO, "broken disk")])
def test_other_errors_keep_their_traceback(error):
    def fail(argv):
        raise error

    with pytest.raises(type(error)):
        common_flags.end_with_one_line(fail)([])

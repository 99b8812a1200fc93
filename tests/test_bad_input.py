"""Bad input of a real run ends in one clear line, and nothing is lost. Flags: test_launch."""

import errno
import json

import pytest

from repro import launch
from repro.data.datasets import MissingDataError

RUN = ("-m", "repro.randomization")
QUICK = ("--model=mlp_1x512", "--dataset=digits", "--epochs=1", "--download=false")


# --- in processes of their own --------------------------------------------------------------------


def test_missing_data(python, tmp_path):
    done = python(
        *RUN,
        "--dataset=cifar10",
        f"--data_dir={tmp_path}",
        "--download=false",
        f"--output_dir={tmp_path / 'out'}",
    )
    assert done.returncode == 1
    (message,) = done.everything.splitlines()
    assert message.startswith("error: cifar10 is not prepared in")
    for part in ("cifar10", str(tmp_path), "tools/prepare_data cifar10", "--dataset=digits"):
        assert part in message


def test_a_diverging_run_ends_well(python, tmp_path):
    """Divergence is a result: exit code 0, the step named."""
    flags = (*QUICK, "--learning_rate=1e6", "--epochs=20", f"--run_dir={tmp_path / 'run'}")
    done = python(*RUN, *flags)
    assert done.returncode == 0, done.stderr
    assert "diverged" in done.stdout
    assert "at step" in done.stdout or "after step" in done.stdout
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "diverged"


# --- in this process: what the door makes of errors -----------------------------------------------


@pytest.fixture
def ends_with(quick, tmp_path):
    """Return the line that a run in tmp_path / "run" ends with."""

    def run(**flags):
        with pytest.raises(SystemExit) as caught, launch.one_line_errors():
            quick(tmp_path / "run", **flags)
        assert isinstance(caught.value.code, str)  # printed to stderr, exit code 1
        assert "\n" not in caught.value.code
        return caught.value.code

    return run


def test_unknown_augmentation(ends_with, tmp_path):
    line = ends_with(augment=("crop", "blur"))
    assert line == (
        "error: --augment=blur is none of crop, flip, brightness, saturation, hue, contrast, "
        "rotation"
    )
    assert not (tmp_path / "run").exists()


def test_unknown_initializer(ends_with):
    """Keras says so in two lines."""
    assert "no_such_init" in ends_with(initializer="no_such_init")


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


def test_a_damaged_result_is_named(ends_with, quick, tmp_path):
    quick(tmp_path / "run", epochs=1)
    (tmp_path / "run" / "result.json").write_text('{"status": ')
    line = ends_with(epochs=1)
    assert str(tmp_path / "run" / "result.json") in line and "remove it" in line
    (tmp_path / "run" / "result.json").unlink()
    assert quick(tmp_path / "run", epochs=1)["status"] == "complete"


def test_a_run_writes_through_no_link(ends_with, quick, tmp_path):
    """A directory of somebody else could lead it to any file; see tests/faults for full disks."""
    (tmp_path / "run").mkdir()
    (tmp_path / "mine").write_text("precious")
    link = tmp_path / "run" / "result.json.partial"
    link.symlink_to(tmp_path / "mine")
    assert ends_with(epochs=1).startswith(f"error: {link} is a symbolic link")
    assert (tmp_path / "mine").read_text() == "precious"
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["result.json.partial"]
    link.unlink()
    assert quick(tmp_path / "run", epochs=1)["status"] == "complete"


@pytest.mark.parametrize("file_system", ["python", "tensorflow"])
def test_a_full_disk_by_whoever_writes(file_system):
    """Checkpoints and summaries are written by TensorFlow, which has errors of its own."""
    import tensorflow as tf

    opened = open if file_system == "python" else tf.io.gfile.GFile
    with (
        pytest.raises(SystemExit) as caught,
        launch.one_line_errors(),
        opened("/dev/full", "w") as file,
    ):
        file.write("x" * 2**16)
    assert caught.value.code.startswith("error: ")
    assert caught.value.code.endswith(launch.DISK_FULL)


@pytest.mark.parametrize("error", [ValueError, RuntimeError, MissingDataError])
def test_errors_of_users_are_one_line(error):
    with pytest.raises(SystemExit) as caught, launch.one_line_errors():
        raise error("this and\n\n  that")
    assert caught.value.code == "error: this and that"


def test_errors_of_files_name_them_in_one_line():
    with pytest.raises(SystemExit) as caught, launch.one_line_errors():
        raise OSError(errno.ENOTDIR, "Not a directory", "out/run")
    assert caught.value.code.startswith("error: out/run: not a directory; run the same command")


def test_other_errors_keep_their_traceback():
    with pytest.raises(KeyError), launch.one_line_errors():
        raise KeyError("bug")

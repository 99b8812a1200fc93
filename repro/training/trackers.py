"""What TensorBoard's HParams tab and Weights & Biases are told of a run beside its metrics."""

import contextlib
import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping


def hparams(settings: Mapping) -> dict:
    """Return settings as the HParams tab takes them: lists as text, without those that are None."""
    texts = {
        name: ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in settings.items()
    }
    return {name: value for name, value in texts.items() if value is not None}


def final_metrics(result: Mapping) -> dict[str, float]:
    """Return the finite numbers of a result, as `result/NAME`."""
    return {
        f"result/{name}": value
        for name, value in result.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


@contextlib.contextmanager
def weights_and_biases(directory, project: str, group: str) -> Iterator[Callable]:
    """Send a run's settings and metrics to Weights & Biases; yield what takes its result.

    The run there is called what its directory is called, and is the same one however often it is
    interrupted and taken up again.

    Args:
      directory: the RunDirectory, whose rows are passed on as they are logged.
      project, group: where Weights & Biases shows the run.

    Raises:
      RuntimeError: wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise RuntimeError("--wandb_project needs wandb: pip install .[wandb]") from error
    path = str(directory.path)
    remote = "://" in path
    whole = path if remote else os.path.abspath(path)
    run = wandb.init(
        project=project,
        group=group,
        name=directory.path.name,
        id=hashlib.sha256(whole.encode()).hexdigest()[:16],
        resume="allow",
        config=dict(directory.settings),
        dir=None if remote else path,
    )

    def log(row: Mapping) -> None:
        if row["step"] >= run.step:  # a run that is taken up again repeats what is there already
            run.log({name: value for name, value in row.items() if name != "step"}, row["step"])

    with run:
        directory.watch = log
        try:
            yield lambda result: run.summary.update(final_metrics(result))
        finally:
            directory.watch = None

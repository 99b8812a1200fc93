"""Opening a complete run of this paper, for any instrument."""

import keras
from etils import epath

from repro import models
from repro.stability import data as regression
from repro.stability import descent
from repro.stability.settings import STAGES, Images
from repro.training import trained


def load(
    settings: Images, data_dir: str | None, download: bool
) -> tuple[regression.Examples, regression.Examples]:
    """Return what a run trains on and what it is tested on."""
    s = settings
    return regression.load(
        s.dataset,
        data_dir,
        download=download,
        classes=s.classes,
        train_split=s.train_split,
        test_split=s.test_split,
        train_examples=s.train_examples,
        wrong_examples=s.wrong_examples,
    )


def build(settings: Images, train: regression.Examples) -> keras.Model:
    """Return the network of a run, as it is before training."""
    shape, outputs = train.images.shape[1:], train.targets.shape[1]
    return models.build(settings.model, shape, outputs, gain=settings.gain)


def open_run(
    path: epath.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
) -> trained.Trained:
    """Return the network that a run trained, with its loss and what it was trained on.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now.
      examples: take no more than so many of its training images, the first ones.

    Raises:
      ValueError: there is no complete run, or one that left no network.
    """
    path = epath.Path(path)
    settings = trained.read_complete(STAGES, path)
    if not isinstance(settings, Images):
        raise ValueError(f"{path} is a run of --stage={settings.stage}, which trains no network")
    train, _ = load(settings, data_dir, download)
    network = build(settings, train)
    trained.restore(network, path)
    data = train.images[:examples], train.targets[:examples]
    return trained.Trained(network, descent.squared_error, data, settings)

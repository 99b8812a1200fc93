"""Opening what a run has trained, so that any instrument can be pointed at it."""

import tensorflow as tf
from etils import epath

from repro.landscape import batch_norm, points
from repro.mode_connectivity import kept
from repro.mode_connectivity.networks import build_network, prepare_data
from repro.mode_connectivity.settings import STAGES
from repro.training import trained
from repro.training.step import cross_entropy


def open_run(
    path: epath.PathLike,
    data_dir: str | None = None,
    download: bool = True,
    examples: int | None = None,
    *,
    t: float = 0.5,
) -> trained.Trained:
    """Return the network that an endpoint ended with, or the one at `t` of a trained curve.

    Args:
      path: the run's directory.
      data_dir, download: where its data is now.
      examples: take no more than so many of its training examples, the first ones.
      t: the place on a curve, 0 its start and 1 its end; batch norm's statistics are estimated
        there, as stage evaluate does.

    Returns:
      the network in the global precision, the cross-entropy, and training images [n, 32, 32, C],
      not augmented, with labels [n].

    Raises:
      ValueError: the run is not complete, left no network, or is of a stage that trains none.
    """
    path = epath.Path(path)
    settings = trained.read_complete(STAGES, path)
    if settings.stage not in ("endpoint", "curve"):
        raise ValueError(
            f"{path} is a run of --stage={settings.stage}, which trains no network: open an "
            "endpoint or a curve"
        )
    if not 0 <= t <= 1:
        raise ValueError(f"t={t:g} lies on no curve: it goes from 0 to 1")
    data = prepare_data(settings, data_dir, download)
    network = build_network(settings, data, tf.distribute.get_strategy())
    if settings.stage == "endpoint":
        trained.restore(network, path)
    else:
        points.put(network, kept.load_curve(path / "checkpoints", settings).at(t))
        batch_norm.make_reestimate(network)(images for images, _ in data.statistics.epoch(1))
    if settings.eval_examples is not None:  # what training loss was measured on is but a part
        whole = settings.replace(eval_examples=None)
        data = prepare_data(whole, data_dir, download)
    images, labels = data.arrays["train"]
    return trained.Trained(network, cross_entropy, (images[:examples], labels[:examples]), settings)

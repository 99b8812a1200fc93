"""Adversarial initialisation's data (Liu et al. 2020, Algorithm 1): copies with random labels.

Every image is copied R times; in each copy a share N is made black, and each copy gets a label of
its own, uniform over the classes and independent of the truth. A network pre-trained on them to
100 % starts the main training in a bad global minimum.
"""

import math

import numpy as np

UNITS = ("entries", "pixels")

_LABEL, _ZERO = range(10, 12)  # streams of random numbers, apart from those of corruption.py


def random_label_copies(
    images: np.ndarray,
    replicas: int,
    zero_out: float,
    unit: str,
    num_classes: int,
    seed: int,
    *,
    ids: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the R copies of every image and their random labels.

    What is zeroed is 0 in raw pixels, black, before any normalisation. A copy depends on (seed, id,
    number of the copy) alone: a subset of images meets the same copies as the whole.

    Args:
      images: uint8 [n, H, W, C].
      replicas: R, 1 or more.
      zero_out: N in [0, 1).
      unit: what N is a share of, see `zero_masks`.
      num_classes: k.
      seed: with an image's id, the only source of randomness.
      ids: int [n], the images' numbers; None: 0..n-1.

    Returns:
      images, uint8 [n * R, H, W, C], the copies of an image one after the other; labels, int64
      [n * R].

    Raises:
      ValueError: R, N or unit out of range.
    """
    check(replicas, zero_out, unit)
    ids = np.arange(len(images)) if ids is None else ids
    labels = np.concatenate(
        [_rng(seed, _LABEL, id_).integers(num_classes, size=replicas) for id_ in ids]
    )
    copies = np.repeat(images, replicas, axis=0)
    if zero_out:
        for number, id_ in enumerate(ids):
            masks = zero_masks(images.shape[1:], replicas, zero_out, unit, seed, id_)
            copies[number * replicas : (number + 1) * replicas][masks] = 0
    return copies, labels.astype(np.int64)


def zero_masks(
    shape: tuple[int, int, int], replicas: int, zero_out: float, unit: str, seed: int, id_: int
) -> np.ndarray:
    """Return what is zeroed in the copies of one image: bool [R, H, W, C].

    Args:
      shape: H, W, C.
      unit: `entries`: int(N * H * W * C) of them, drawn without replacement, as in the authors'
        code; `pixels`: int(N * H * W) whole pixels, as in the paper's text.
      replicas, zero_out, seed, id_: as for `random_label_copies`.

    Raises:
      ValueError: R, N or unit out of range, or N above 0 that zeroes nothing.
    """
    check(replicas, zero_out, unit)
    height, width, channels = shape
    places = height * width * (channels if unit == "entries" else 1)
    if zero_out and int(places * zero_out) == 0:
        raise ValueError(f"zero_out={zero_out} of {places} {unit} is none: choose 0, or more")
    rng, masks = _rng(seed, _ZERO, id_), np.zeros((replicas, places), bool)
    for mask in masks:
        mask[rng.permutation(places)[: int(places * zero_out)]] = True
    if unit == "entries":
        return masks.reshape(replicas, *shape)
    return np.repeat(masks.reshape(replicas, height, width, 1), channels, axis=-1)


def fit_ceiling(replicas: int, num_classes: int) -> float:
    """Return the share of identical copies with random labels that any network can get right.

    All R copies of an image get the same prediction, at best their most frequent label: E[largest
    of the k label counts] / R. 0.55 for R = 2 and 10 classes.
    """
    # Counts of k labels that sum to R are k independent Poisson numbers given their sum.
    chances = [_poisson(count, replicas / num_classes) for count in range(replicas + 1)]
    expected = 0.0
    for largest in range(replicas):
        sums = np.ones(1)  # P(sum of the counts so far = n, none above `largest`)
        for _ in range(num_classes):
            sums = np.convolve(sums, chances[: largest + 1])[: replicas + 1]
        at_most = sums[replicas] / _poisson(replicas, replicas) if replicas < len(sums) else 0.0
        expected += 1 - at_most
    return float(expected) / replicas


def _poisson(count: int, mean: float) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def fittable(labels: np.ndarray, replicas: int) -> float:
    """Return the share of drawn labels [n * R] that identical copies allow any network to fit."""
    counts = [np.bincount(row).max() for row in labels.reshape(-1, replicas)]
    return float(np.sum(counts)) / len(labels)


def check(replicas: int, zero_out: float, unit: str) -> None:
    """Raise ValueError if R, N or the unit is out of range."""
    if replicas < 1:
        raise ValueError(f"replicas={replicas} must be 1 or more")
    if not 0 <= zero_out < 1:
        raise ValueError(f"zero_out={zero_out} must lie in [0, 1)")
    if unit not in UNITS:
        raise ValueError(f"unknown unit {unit!r}; choose from {', '.join(UNITS)}")


def _rng(seed: int, stream: int, id_: int) -> np.random.Generator:
    """Return the generator of one image: Philox, whose counter makes 50,000 of them cheap."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, id_]))

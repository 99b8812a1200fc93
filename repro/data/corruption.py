"""The randomization tests of Zhang et al. 2017 (section 2.1): labels and pixels made random.

A corruption is a fixed function of (seed, example id): drawn once, the same in every epoch, for any
subset, on any machine. It acts on raw pixels, before crop and whitening (see pipeline.preprocess).
"""

import numpy as np

CORRUPTIONS = (
    "none",
    "partial_labels",  # each label, with probability p, replaced by a uniformly drawn class
    "random_labels",  # every label replaced: partial_labels with p = 1
    "shuffled_pixels",  # one permutation of the entries, the same for all images, train and test
    "random_pixels",  # a permutation of its own for every image
    "gaussian",  # noise of matching mean and variance in the place of every image
)
PERMUTES = ("entries", "positions")
GAUSSIAN_MOMENTS = ("dataset", "image")

# One stream of random numbers per purpose, so that no two draws share their numbers.
_COIN, _LABEL, _SHUFFLE, _PIXELS, _NOISE = range(5)


def corrupt(
    images: np.ndarray,
    labels: np.ndarray,
    kind: str,
    prob: float,
    seed: int,
    num_classes: int,
    *,
    ids: np.ndarray | None = None,
    permute: str = "entries",
    gaussian_moments: str = "dataset",
) -> tuple[np.ndarray, np.ndarray]:
    """Return corrupted images and labels (Zhang et al. 2017, section 2.1), leaving those given.

    A replaced label is uniform over all classes and so may hit the true one: with probability p
    of replacement the share of wrong labels is p (k - 1) / k. Pixel corruptions and noise keep the
    true labels.

    Args:
      images: uint8 [N, H, W, C].
      labels: int [N].
      kind: one of CORRUPTIONS.
      prob: p of partial_labels, in [0, 1]; the other kinds ignore it.
      seed: with an example's id, the only source of randomness.
      num_classes: k.
      ids: int [N], the examples' numbers; None: 0..N-1.
      permute: what pixel corruptions permute: all H*W*C `entries`, or the H*W `positions`, which
        moves channels together and so keeps an image's colours.
      gaussian_moments: mean and variance per channel of the whole `dataset`, or of each `image`
        (seed 003's reading, which leaks the image's colours and with them its class).

    Returns:
      images, uint8 [N, H, W, C]; float32 for gaussian, whose values are not clipped to 0..255 so
      that the moments match; and labels, int [N].

    Raises:
      ValueError: unknown kind or option, prob outside [0, 1].
    """
    _check(kind, prob, permute, gaussian_moments)
    if ids is None:
        ids = np.arange(len(labels))
    if kind == "random_labels":
        kind, prob = "partial_labels", 1.0
    if kind == "partial_labels":
        replaced = _uniform(seed, _COIN, ids) < prob
        drawn = (_uniform(seed, _LABEL, ids) * num_classes).astype(labels.dtype)
        return images, np.where(replaced, drawn, labels)
    if kind in ("shuffled_pixels", "random_pixels"):
        return _permute_pixels(images, ids, seed, permute, shared=kind == "shuffled_pixels"), labels
    if kind == "gaussian":
        return _gaussian(images, ids, seed, gaussian_moments), labels
    return images, labels


def redraw_seed(seed: int, access: int) -> int:
    """Return the seed of one access under `--redraw`, seed 003's bug of ever fresh corruptions."""
    return int(np.random.SeedSequence([seed, 1 + access]).generate_state(1)[0])


def _check(kind: str, prob: float, permute: str, gaussian_moments: str) -> None:
    for name, value, choices in (
        ("corruption", kind, CORRUPTIONS),
        ("permute", permute, PERMUTES),
        ("gaussian_moments", gaussian_moments, GAUSSIAN_MOMENTS),
    ):
        if value not in choices:
            raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")
    if not 0 <= prob <= 1:
        raise ValueError(f"corrupt_prob={prob} must lie in [0, 1]")


def _uniform(seed: int, stream: int, ids: np.ndarray) -> np.ndarray:
    """Return one uniform number in [0, 1) per example id, the same whichever ids are asked for."""
    numbers = np.empty(len(ids))
    for start in np.unique(ids // 10**6) * 10**6:  # ids of test sets lie far above those of train
        chosen = (ids >= start) & (ids < start + 10**6)
        rng = np.random.default_rng([seed, stream, start])
        offsets = ids[chosen] - start
        numbers[chosen] = rng.random(offsets.max() + 1)[offsets]
    return numbers


def _example_rng(seed: int, stream: int, example: int) -> np.random.Generator:
    """Return the generator of one example: Philox, whose counter makes 50,000 of them cheap."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, example]))


def _permute_pixels(
    images: np.ndarray, ids: np.ndarray, seed: int, permute: str, shared: bool
) -> np.ndarray:
    count, height, width, channels = images.shape
    shape = (count, -1) if permute == "entries" else (count, height * width, channels)
    pixels = images.reshape(shape)
    if shared:
        order = np.random.default_rng([seed, _SHUFFLE]).permutation(pixels.shape[1])
        return pixels[:, order].reshape(images.shape)
    permuted = np.empty_like(pixels)
    for row, example in enumerate(ids):
        order = _example_rng(seed, _PIXELS, example).permutation(pixels.shape[1])
        permuted[row] = pixels[row, order]
    return permuted.reshape(images.shape)


def _gaussian(images: np.ndarray, ids: np.ndarray, seed: int, moments: str) -> np.ndarray:
    axes = (0, 1, 2) if moments == "dataset" else (1, 2)
    mean = images.mean(axes, keepdims=True, dtype=np.float64)
    std = images.std(axes, keepdims=True, dtype=np.float64)
    noise = np.empty(images.shape, np.float32)
    for row, example in enumerate(ids):
        noise[row] = _example_rng(seed, _NOISE, example).standard_normal(images.shape[1:])
    return (mean + std * noise).astype(np.float32)

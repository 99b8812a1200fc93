"""What kernels look at: pixels, and the two preprocessings of Table 3 of Zhang et al. 2017."""

from collections.abc import Iterator

import numpy as np
from scipy.signal import fftconvolve

FILTERS_AT_ONCE = 256
IMAGES_AT_ONCE = 100
# Coates and Ng's constants, of pixels in 0..255: what is added to the variance of a patch, to the
# eigenvalues of the covariance of patches, and what a response must exceed to count.
PATCH_FLOOR, WHITENING_FLOOR, THRESHOLD = 10.0, 0.1, 0.25
PATCHES_OF_WHITENING = 20_000
WAVELENGTHS, ORIENTATIONS, CELL = (3.0, 6.0, 12.0), 8, 4  # of Gabor's wavelets, in pixels
PLAIN = ("pixels", "whitened", "normalized")

Chunk = tuple[np.ndarray, np.ndarray]  # features of training and of test images, [n, c], [m, c]


def plain(images: np.ndarray, kind: str) -> np.ndarray:
    """Return images as float64 rows.

    Args:
      images: uint8 [n, H, W, C].
      kind: `pixels` in 0..1; `whitened`, with mean 0 and deviation 1 in each image, the deviation
        floored as in the paper's section 2; or `normalized`, each image of length 1.
    """
    rows = images.reshape(len(images), -1) / 255.0
    if kind == "whitened":
        rows -= rows.mean(1, keepdims=True)
        rows /= np.maximum(rows.std(1, keepdims=True), rows.shape[1] ** -0.5)
    elif kind == "normalized":
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows /= np.where(lengths > 0, lengths, 1)
    return rows


def gabor(train: np.ndarray, test: np.ndarray) -> Chunk:
    """Return moduli of Gabor wavelets, averaged over cells of 4 x 4 pixels.

    The paper says "a Gabor wavelet transform" and no more. Ours has 3 wavelengths and 8
    orientations; an envelope's deviation is half the wavelength. Features are scaled as those of
    `filters` are.
    """
    bank = [_wavelet(w, np.pi * k / ORIENTATIONS) for w in WAVELENGTHS for k in range(ORIENTATIONS)]

    def moduli(images: np.ndarray) -> np.ndarray:
        found = [
            np.concatenate(
                [
                    _cells(
                        np.abs(fftconvolve(part, wavelet[None, :, :, None], "same", axes=(1, 2)))
                    )
                    for wavelet in bank
                ],
                axis=1,
            )
            for part in _parts(images)
        ]
        return np.concatenate(found).astype(np.float64)

    return _scaled(moduli(train), moduli(test), train)


def _wavelet(wavelength: float, angle: float) -> np.ndarray:
    """Return a complex Gabor wavelet without a constant part, so that even images give nothing."""
    half = int(np.ceil(1.5 * wavelength))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    envelope = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
    wave = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
    wave -= (envelope * wave).sum() / envelope.sum()
    wavelet = envelope * wave
    return (wavelet / np.linalg.norm(wavelet)).astype(np.complex64)


def _cells(maps: np.ndarray) -> np.ndarray:
    count, height, width, channels = maps.shape
    cut = maps[:, : height // CELL * CELL, : width // CELL * CELL]
    shape = (count, height // CELL, CELL, width // CELL, CELL, channels)
    return cut.reshape(shape).mean((2, 4)).reshape(count, -1)


def filters(
    train: np.ndarray, test: np.ndarray, count: int, patch: int, source: str, seed: int
) -> Iterator[Chunk]:
    """Yield the responses of random filters, some filters at a time (Coates and Ng 2012).

    Their network: patches at every position, each brought to mean 0 and deviation 1 and whitened
    (ZCA); filters; responses of either sign beyond a threshold; sums over the four quarters of the
    image. That is 8 features a filter. The paper selects the filters "at random instead of with
    k-means".

    Scaling is ours: a feature has mean square 1 over the training images, and then all are scaled
    by one number so that the mean squared length is that of the images in 0..1. Widths of kernels
    and norms of solutions are then comparable. Means are not subtracted: that would make K
    singular.

    Args:
      train, test: uint8 [n, H, W, C].
      count: number of filters.
      patch: side of a patch.
      source: `patches`: filters are whitened patches of training images; `noise`: they are normal.
        Either kind is of length 1.
      seed: of patches and noise.

    Raises:
      ValueError: patches do not fit into the images.
    """
    if min(train.shape[1:3]) < patch + 1:
        raise ValueError(f"--patch={patch} does not fit into images of {train.shape[1:3]} pixels")
    rng = np.random.default_rng([seed, 21])
    whiten = _patch_whitening(_some_patches(train, patch, PATCHES_OF_WHITENING, rng))
    if source == "patches":
        bank = whiten(_some_patches(train, patch, count, rng))
    else:
        bank = rng.normal(size=(count, patch * patch * train.shape[3]))
    bank = (bank / np.maximum(np.linalg.norm(bank, axis=1, keepdims=True), 1e-6)).astype(np.float32)
    share = np.sqrt(_mean_square(train) / (8 * count))
    for start in range(0, count, FILTERS_AT_ONCE):
        some = bank[start : start + FILTERS_AT_ONCE].T
        found = [
            np.concatenate(
                [_responses(whiten(_patches(part, patch)), some) for part in _parts(images)]
            ).astype(np.float64)
            for images in (train, test)
        ]
        scale = share / np.maximum(np.sqrt((found[0] ** 2).mean(0)), 1e-6)
        yield found[0] * scale, found[1] * scale


def _some_patches(images: np.ndarray, patch: int, count: int, rng) -> np.ndarray:
    """Return random patches of random images, float32 [count, patch * patch * C]."""
    which = rng.integers(len(images), size=count)
    top, left = (rng.integers(side - patch + 1, size=count) for side in images.shape[1:3])
    steps = np.arange(patch)
    rows, columns = top[:, None, None] + steps[:, None], left[:, None, None] + steps
    return images[which[:, None, None], rows, columns].reshape(count, -1).astype(np.float32)


def _patches(images: np.ndarray, patch: int) -> np.ndarray:
    """Return the patches at all positions, float32 [n, rows, columns, patch * patch * C]."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (patch, patch), axis=(1, 2))
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(*windows.shape[:3], -1).astype(np.float32)


def _patch_whitening(sample: np.ndarray):
    """Return the function that normalises and whitens patches [..., d], as measured on a sample."""

    def normalized(patches: np.ndarray) -> np.ndarray:
        centred = patches - patches.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + PATCH_FLOOR)

    seen = normalized(sample.astype(np.float64))
    mean = seen.mean(0)
    values, vectors = np.linalg.eigh(np.cov(seen.T, bias=True))
    # Rounding may put an eigenvalue that is 0, such as a patch's mean, slightly below.
    whitening = (vectors / np.sqrt(np.maximum(values, 0) + WHITENING_FLOOR)) @ vectors.T
    mean, whitening = mean.astype(np.float32), whitening.astype(np.float32)
    return lambda patches: (normalized(patches) - mean) @ whitening


def _responses(patches: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Return sums over quarters of what exceeds the threshold, either sign, [n, 8 filters]."""
    found = patches @ bank
    middle = [side // 2 for side in found.shape[1:3]]
    signs = [np.maximum(sign * found - THRESHOLD, 0) for sign in (1, -1)]
    return np.concatenate(
        [
            each[:, rows, columns].sum((1, 2))
            for each in signs
            for rows in (slice(middle[0]), slice(middle[0], None))
            for columns in (slice(middle[1]), slice(middle[1], None))
        ],
        axis=1,
    )


def _scaled(train_features: np.ndarray, test_features: np.ndarray, images: np.ndarray) -> Chunk:
    root = np.maximum(np.sqrt((train_features**2).mean(0)), 1e-6)
    scale = np.sqrt(_mean_square(images) / train_features.shape[1]) / root
    return train_features * scale, test_features * scale


def _mean_square(images: np.ndarray) -> float:
    """Return the mean squared length of images in 0..1."""
    total = sum(((part / 255.0) ** 2).sum() for part in _parts(images))
    return float(total / len(images))


def _parts(images: np.ndarray) -> list[np.ndarray]:
    return np.array_split(images, -(-len(images) // IMAGES_AT_ONCE))

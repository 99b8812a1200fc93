"""The randomization tests of Zhang et al. 2017 (section 2.1): labels and pixels made random.

A corruption is a fixed function of (seed, example id), the same in every epoch, batch and order,
for a subset as for the whole, on any worker. It is written once, as a function for
`tf.data.Dataset.map`, and serves any dataset of (image, label) pairs:

    corrupted = dataset.enumerate().map(
        corruption.make("partial_labels", prob=0.4, num_classes=10, seed=0)
    )

It acts on raw pixels, before crop and whitening (see pipeline.preprocess). Random numbers are
stateless Philox draws keyed by (seed, stream, id). Labels and permutations are exact wherever they
are drawn; Gaussian noise goes through the logarithm and sine of the processor's own library, and
may differ in its last bits between kinds of processors.
"""

import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from repro.data import corruption_checks as checks
from repro.data.corruption_checks import LABEL_KINDS, LARGEST_SEED, PIXEL_KINDS
from repro.data.datasets import channel_moments

CHUNK = 1000  # examples copied to the host's arrays at once

Moments = tuple[Sequence[float], Sequence[float]]  # mean and deviation, of each channel
Corruption = Callable[[tf.Tensor, tuple[tf.Tensor, tf.Tensor]], tuple[tf.Tensor, tf.Tensor]]

# One stream of random numbers per purpose, so that no two draws share their numbers.
STREAMS = {"coin": 1, "label": 2, "shuffle": 3, "pixels": 4, "noise": 5}
MOST_STREAMS = 16  # see checks.LARGEST_SEED
LARGEST_RUN_SEED = 2**32  # of runs with `--redraw`


def make(
    kind: str,
    *,
    seed: int,
    num_classes: int,
    prob: float | None = None,
    permute: str = "entries",
    gaussian_moments: str = "dataset",
    moments: Moments | None = None,
) -> Corruption:
    """Return the corruption of one example, for `dataset.enumerate().map(...)`.

    A replaced label is uniform over all classes and so may hit the true one: with probability p
    of replacement the share of wrong labels is p (k - 1) / k. Corruptions of labels keep images,
    which may then be texts or several inputs; corruptions of pixels keep labels.

    Args:
      kind: one of CORRUPTIONS.
      seed: with an example's id, the only source of randomness; 0 or more.
      num_classes: k.
      prob: p of partial_labels, in [0, 1]; the other kinds ignore it.
      permute: what pixel corruptions permute: all H*W*C `entries`, or the H*W `positions`, which
        moves channels together and so keeps an image's colours.
      gaussian_moments: mean and variance per channel of the whole `dataset`, or of each `image`
        (the EPFL student rerun's reading, which leaks an image's colours and so its class).
      moments: mean and standard deviation of the whole training set in the units of its pixels,
        numbers or one for each channel, as `datasets.channel_moments` returns them; wanted by
        gaussian with the moments of the dataset, ignored otherwise.

    Returns:
      A function (id, (image, label)) -> (image, label). The id is a whole number, different for
      every example. The image is [H, W, C] of static shape and keeps its type, but for gaussian,
      which returns float32 that is not clipped, so that the moments match. The label is a whole
      number in 0..k-1, if labels are to change. While it is traced, the function raises ValueError
      for an image or label of another shape or type; a label out of range is an error,
      InvalidArgumentError within a dataset, once it is met.

    Raises:
      ValueError: an argument is unknown or out of range, or `prob` or `moments` is missing.
    """
    checks.check_options(kind, seed, num_classes, prob, permute, gaussian_moments)
    if kind == "gaussian" and gaussian_moments == "dataset" and moments is None:
        raise ValueError(
            "gaussian noise with the moments of the dataset wants moments=(mean, deviation) of the "
            "training images: datasets.channel_moments(images) measures them"
        )
    share = 1.0 if kind == "random_labels" else prob

    # AutoGraph has nothing to convert, and would wrap errors in pages of its own.
    @tf.autograph.experimental.do_not_convert
    def corrupted(id_, example):
        checks.check_pair(example)
        image, label = example
        if kind in PIXEL_KINDS:
            image = checks.one_tensor("image", image)
        if kind in LABEL_KINDS:
            label = checks.one_tensor("label", label)
        id_ = tf.convert_to_tensor(id_)
        checks.check_example(kind, id_, image, label, num_classes)
        if kind in LABEL_KINDS:
            label = checks.in_range(label, num_classes)
            label = _relabelled(label, id_, share, seed, num_classes)
        elif kind == "shuffled_pixels":
            image = _gathered(image, _shared_order(image, seed, permute), permute)
        elif kind == "random_pixels":
            image = _gathered(image, _order(_key(seed, "pixels", id_), image, permute), permute)
        elif kind == "gaussian":
            image = _noise(image, id_, seed, moments if gaussian_moments == "dataset" else None)
        return image, label

    return corrupted


def corrupt(
    images: np.ndarray,
    labels: np.ndarray,
    kind: str,
    prob: float | None,
    seed: int,
    num_classes: int,
    *,
    ids: np.ndarray | None = None,
    permute: str = "entries",
    gaussian_moments: str = "dataset",
    moments: Moments | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return corrupted images and labels, leaving those given: `make`'s function, mapped over them.

    Args:
      images: [N, H, W, C], uint8 or float32.
      labels: int [N], in 0..num_classes - 1.
      ids: int [N], the examples' numbers, none below 0 and none twice; None: 0..N-1.
      moments: as for `make`; None: those of `images`, which are right only where `images` are the
        whole training set. For a subset, or for test images, pass those of the training set.
      kind, prob, seed, num_classes, permute, gaussian_moments: as for `make`.

    Returns:
      images, [N, H, W, C] of the type given, or float32 for gaussian; and labels, int [N].

    Raises:
      ValueError: an argument is unknown, out of range, or of another shape or type.
    """
    checks.check_options(kind, seed, num_classes, prob, permute, gaussian_moments)
    ids = np.arange(len(labels)) if ids is None else np.asarray(ids)
    checks.check_arrays(kind, images, labels, ids, num_classes)
    if kind == "gaussian" and gaussian_moments == "dataset" and moments is None:
        moments = channel_moments(images)
    function = make(
        kind,
        seed=seed,
        num_classes=num_classes,
        prob=prob,
        permute=permute,
        gaussian_moments=gaussian_moments,
        moments=moments,
    )
    if kind == "none":
        return images, labels
    # Images that stay as they are need not travel.
    fed = images if kind in PIXEL_KINDS else np.empty((len(labels), 0), np.uint8)
    with tf.device("CPU"):
        examples = tf.data.Dataset.from_tensor_slices((ids, (fed, labels))).map(
            function, num_parallel_calls=os.cpu_count(), deterministic=True
        )
    drawn = [
        np.empty((len(labels), *spec.shape), spec.dtype.as_numpy_dtype)
        for spec in examples.element_spec
    ]
    for number, batch in enumerate(examples.batch(CHUNK).as_numpy_iterator()):
        for whole, part in zip(drawn, batch):
            whole[number * CHUNK : number * CHUNK + len(part)] = part
    return (drawn[0], labels) if kind in PIXEL_KINDS else (images, drawn[1])


def redraw_seed(seed: int, access: int) -> int:
    """Return the seed of one access under `--redraw`, the student rerun's ever fresh corruptions.

    No two pairs (seed, access) have the same, and none has that of a run without `--redraw`.

    Raises:
      ValueError: seed outside 0..2^32 - 1, or access outside 0..2^27 - 2.
    """
    if not 0 <= seed < LARGEST_RUN_SEED:
        raise ValueError(f"seed={seed} must lie in 0..2^32 - 1 for corruptions that are redrawn")
    if not 0 <= access < LARGEST_SEED // LARGEST_RUN_SEED - 1:
        raise ValueError(f"access={access} must lie in 0..2^27 - 2")
    return (1 + access) * LARGEST_RUN_SEED + seed


def _key(seed: int, stream: str, id_: tf.Tensor | int) -> tf.Tensor:
    """Return the Philox key of a draw, int64 [2]: a different one for each (seed, stream, id).

    TensorFlow mixes the two numbers by a bijection, so that neighbours are as good as any others.
    The first number is negative: keys of augmentation.py, which are not, are never met.
    """
    first = tf.constant(-1 - (seed * MOST_STREAMS + STREAMS[stream]), tf.int64)
    return tf.stack([first, tf.cast(id_, tf.int64)])


def _relabelled(
    label: tf.Tensor, id_: tf.Tensor, prob: float, seed: int, num_classes: int
) -> tf.Tensor:
    """Return the label or, with probability `prob`, a uniform class of the label's type."""
    coin = tf.random.stateless_uniform([], _key(seed, "coin", id_), dtype=tf.float64, alg="philox")
    drawn = tf.random.stateless_uniform(
        [], _key(seed, "label", id_), 0, num_classes, tf.int64, alg="philox"
    )
    return tf.where(coin < prob, tf.cast(drawn, label.dtype), label)


def _order(key: tf.Tensor, image: tf.Tensor, permute: str) -> tf.Tensor:
    """Return a uniform permutation of the image's entries or positions, int32 [H*W*C or H*W].

    Two of float64's 2^52 values tie in one of a billion images of 3,072 entries; in float32, with
    2^23, nearly half of all images would have a tie, which the sort would settle by position.
    """
    size = int(np.prod(image.shape if permute == "entries" else image.shape[:2]))
    return tf.argsort(tf.random.stateless_uniform([size], key, dtype=tf.float64, alg="philox"))


def _shared_order(image: tf.Tensor, seed: int, permute: str) -> tf.Tensor:
    """Return the one permutation for images of this shape: drawn while the function is traced."""
    with tf.init_scope(), tf.device("CPU"):
        return _order(_key(seed, "shuffle", 0), image, permute)


def _gathered(image: tf.Tensor, order: tf.Tensor, permute: str) -> tf.Tensor:
    shape = [-1] if permute == "entries" else [-1, image.shape[-1]]
    return tf.reshape(tf.gather(tf.reshape(image, shape), order), image.shape)


def _noise(image: tf.Tensor, id_: tf.Tensor, seed: int, moments: Moments | None) -> tf.Tensor:
    """Return normal noise, float32 [H, W, C], with these moments; None: those of the image."""
    if moments is None:
        pixels = tf.cast(image, tf.float64)
        mean, std = tf.reduce_mean(pixels, [0, 1]), tf.math.reduce_std(pixels, [0, 1])
    else:
        mean, std = (tf.constant(np.asarray(moment, np.float64)) for moment in moments)
        for moment in (mean, std):
            if moment.shape not in ([], [image.shape[-1]]):
                raise ValueError(
                    f"moments of shape {moment.shape} do not suit images of {image.shape[-1]} "
                    "channels: pass a number, or one for each channel"
                )
    noise = tf.random.stateless_normal(image.shape, _key(seed, "noise", id_), alg="philox")
    return tf.cast(mean + std * tf.cast(noise, tf.float64), tf.float32)

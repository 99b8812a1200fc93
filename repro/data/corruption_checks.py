"""What corruption.py refuses: each error names the argument and the way out."""

from numbers import Integral, Real

import numpy as np
import tensorflow as tf

from repro.data import CORRUPTIONS, GAUSSIAN_MOMENTS, PERMUTES

LABEL_KINDS = ("partial_labels", "random_labels")
PIXEL_KINDS = ("shuffled_pixels", "random_pixels", "gaussian")
LARGEST_SEED = 2**59  # times the number of streams it still fits into an int64


def check_options(
    kind: str, seed: int, num_classes: int, prob: float | None, permute: str, gaussian_moments: str
) -> None:
    """Raise ValueError for an option that is unknown or out of range."""
    for name, value, choices in (
        ("corruption", kind, CORRUPTIONS),
        ("permute", permute, PERMUTES),
        ("gaussian_moments", gaussian_moments, GAUSSIAN_MOMENTS),
    ):
        if value not in choices:
            raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")
    for name, value, wanted in (
        ("seed", seed, Integral),
        ("num_classes", num_classes, Integral),
        ("prob", 0.0 if prob is None else prob, Real),
    ):
        if not isinstance(value, wanted):
            kind_of = "whole number" if wanted is Integral else "number"
            raise ValueError(f"{name}={value!r} must be a {kind_of}, not {type(value).__name__}")
    if prob is None and kind == "partial_labels":
        raise ValueError("partial_labels wants prob: the share of labels to replace, in [0, 1]")
    if prob is not None and not 0 <= prob <= 1:
        raise ValueError(f"prob={prob} (--corrupt_prob) must lie in [0, 1]")
    if not 0 <= seed < LARGEST_SEED:
        raise ValueError(f"seed={seed} must lie in 0..2^59 - 1")
    if num_classes < 1:
        raise ValueError(f"num_classes={num_classes} must be 1 or more")


def check_example(
    kind: str, id_: tf.Tensor, image: tf.Tensor, label: tf.Tensor, num_classes: int
) -> None:
    """Raise ValueError, while the function is traced, for what it cannot corrupt."""
    if not id_.dtype.is_integer or id_.shape.rank != 0:
        raise ValueError(
            f"the id is {id_.dtype.name} {id_.shape}, not one whole number: number single examples "
            "by dataset.enumerate(), before they are batched"
        )
    if kind in LABEL_KINDS:
        if not label.dtype.is_integer or label.shape.rank != 0:
            raise ValueError(
                f"the label is {label.dtype.name} {label.shape}, not one whole number: corrupt "
                "single examples with labels 0..k-1, before they are batched or one-hot"
            )
        if label.dtype.max < num_classes - 1:
            raise ValueError(
                f"labels of type {label.dtype.name} cannot hold {num_classes} classes: cast them"
            )
    if kind in PIXEL_KINDS and (image.shape.rank != 3 or not image.shape.is_fully_defined()):
        raise ValueError(
            f"the image has the shape {image.shape}, not a known [H, W, C]: resize images to one "
            "size, give grey ones a channel axis, and corrupt them before they are batched"
        )


def one_tensor(name: str, part) -> tf.Tensor:
    """Return an image or a label as a tensor; raise ValueError where it is several."""
    if isinstance(part, dict | tuple):
        raise ValueError(
            f"the {name} is a {type(part).__name__}, not one tensor: pass the part to "
            "corrupt, and put the others beside it again"
        )
    return tf.convert_to_tensor(part)


def check_pair(example) -> None:
    """Raise ValueError where the function was not mapped over numbered pairs."""
    if not isinstance(example, (tuple, list)) or len(example) != 2:
        raise ValueError(
            "map over pairs (image, label) that are numbered, by "
            "dataset.enumerate().map(...): the number of an example is what keys its draws"
        )


def in_range(label: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Return the label; raise ValueError, or fail within a dataset, where it is no class."""
    is_class = (label >= 0) & (tf.cast(label, tf.int64) < num_classes)
    message = (
        f"a label lies outside 0..{num_classes - 1}: renumber the classes from 0, or pass their "
        "true number as num_classes"
    )
    if tf.executing_eagerly():
        if not is_class:
            raise ValueError(message)
        return label
    with tf.control_dependencies([tf.debugging.Assert(is_class, [message, label])]):
        return tf.identity(label)


def check_arrays(
    kind: str, images: np.ndarray, labels: np.ndarray, ids: np.ndarray, num_classes: int
) -> None:
    """Raise ValueError for arrays that do not belong together."""
    for name, numbers, way_out in (
        ("labels", labels, "pass class numbers, by labels.ravel() or labels.astype(int)"),
        ("ids", ids, "pass the examples' numbers, or None for 0..N-1"),
    ):
        if numbers.ndim != 1 or not np.issubdtype(numbers.dtype, np.integer):
            raise ValueError(
                f"{name} are {numbers.dtype} {numbers.shape}, not whole numbers [N]: {way_out}"
            )
        if len(numbers) != len(images):
            raise ValueError(f"{len(numbers)} {name} for {len(images)} images: {way_out}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"labels lie in {labels.min()}..{labels.max()}, not in 0..{num_classes - 1}: renumber "
            "the classes from 0, or pass their true number as num_classes"
        )
    if len(ids) and (ids.min() < 0 or len(np.unique(ids)) < len(ids)):
        raise ValueError(
            "ids are negative or repeated, so that examples would share their draws: number the "
            "examples apart, or pass None for 0..N-1"
        )
    if kind in PIXEL_KINDS and images.ndim != 4:
        raise ValueError(
            f"images have the shape {images.shape}, not [N, H, W, C]: give grey ones a channel "
            "axis by images[..., None]"
        )

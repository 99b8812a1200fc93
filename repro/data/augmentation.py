"""Data augmentation keyed by (seed, epoch, example): the same images again after any resume.

Every operation can be switched on alone. Images are float32 [H, W, C] in [0, 1], before whitening.
"""

from collections.abc import Sequence

import tensorflow as tf

from repro.data import AUGMENTATIONS

# Zhang et al. 2017 name the operations (sections 3 and appendix E) but few ranges; these are
# seed 003's, whose rerun left hue out.
FACTOR_RANGE = (0.9, 1.1)  # brightness, saturation and contrast are multiplied by a factor
HUE_SHIFT = 0.1  # of the colour circle, to either side; ours
MAX_ROTATION_DEGREES = 25.0  # Table 4's "rotation up to 25 degrees"
PADDED_SIZE_MARGIN = 4  # images no larger than the crop are padded by this before cropping


def augment(
    image: tf.Tensor,
    key: tf.Tensor,
    operations: Sequence[str],
    size: int,
    margin: int = PADDED_SIZE_MARGIN,
) -> tf.Tensor:
    """Return one augmented image.

    Args:
      image: float32 [H, W, C] in [0, 1]; saturation and hue want C = 3.
      key: int32 or int64 [2]: (seed and epoch, example), as `example_key` makes it.
      operations: those of AUGMENTATIONS to apply, in that order whatever order they are named in.
      size: side of the crop; without `crop` the central one is taken.
      margin: images smaller than `size + margin` are padded with black to that before cropping.

    Returns:
      float32 [size, size, C]; brightness and contrast may leave [0, 1], as the whitening that
      follows does not mind.

    Raises:
      ValueError: unknown operation.
    """
    check(operations)
    keys = tf.unstack(tf.random.split(key, num=len(AUGMENTATIONS), alg="philox"))
    keys = dict(zip(AUGMENTATIONS, keys))
    channels = image.shape[-1]
    if "crop" in operations:
        if image.shape[0] < size + margin:
            padded = size + margin
            image = tf.image.resize_with_crop_or_pad(image, padded, padded)
        image = tf.image.stateless_random_crop(image, (size, size, channels), keys["crop"])
    else:
        image = tf.image.resize_with_crop_or_pad(image, size, size)
    if "flip" in operations:
        image = tf.image.stateless_random_flip_left_right(image, keys["flip"])
    if "brightness" in operations:
        image = image * _uniform(keys["brightness"], *FACTOR_RANGE)
    if "saturation" in operations:
        image = tf.image.stateless_random_saturation(image, *FACTOR_RANGE, keys["saturation"])
    if "hue" in operations:
        image = tf.image.stateless_random_hue(image, HUE_SHIFT, keys["hue"])
    if "contrast" in operations:
        image = tf.image.stateless_random_contrast(image, *FACTOR_RANGE, keys["contrast"])
    if "rotation" in operations:
        degrees = _uniform(keys["rotation"], -MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES)
        image = rotate(image, degrees * (3.141592653589793 / 180))
    return image


def check(operations: Sequence[str]) -> None:
    """Raise ValueError if an operation is unknown."""
    for operation in operations:
        if operation not in AUGMENTATIONS:
            raise ValueError(
                f"unknown augmentation {operation!r}; choose from {', '.join(AUGMENTATIONS)}"
            )


def example_key(seed: int, epoch: int, example: tf.Tensor) -> tf.Tensor:
    """Return the random key of one example in one epoch, int64 [2]."""
    return tf.stack([tf.constant(seed * 1_000_003 + epoch, tf.int64), tf.cast(example, tf.int64)])


def rotate(image: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Rotate float32 [H, W, C] counter-clockwise by `angle` radians; edges are reflected."""
    height, width = image.shape[0], image.shape[1]
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Maps an output pixel (x, y) to the input; the offsets keep the centre of the image in place.
    x_centre, y_centre = (width - 1) / 2, (height - 1) / 2
    x_offset = x_centre - (x_centre * cos - y_centre * sin)
    y_offset = y_centre - (x_centre * sin + y_centre * cos)
    transform = tf.stack([cos, -sin, x_offset, sin, cos, y_offset, 0.0, 0.0])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None], transforms=transform[None], output_shape=[height, width],
        fill_value=0.0, interpolation="BILINEAR", fill_mode="REFLECT",
    )[0]


def _uniform(key: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.random.stateless_uniform([], key, low, high)

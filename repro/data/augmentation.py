"""Data augmentation keyed by (seed, epoch, example): the same images again after any resume.

Every operation can be switched on alone. Images are float32 [H, W, C] in [0, 1], before whitening.

Some sets of ranges can be chosen (Zhang et al. 2017 name the operations, in sections 3 and appendix
E, but few ranges):

* `tensorflow`, the default: brightness and contrast of TensorFlow's CIFAR-10 tutorial, whose crop
  and whitening are the paper's: a number in +-63 of 255 grey levels is added, and contrast is
  multiplied by 0.2 to 1.8. The tutorial has neither saturation nor hue; theirs are those
  of TensorFlow's ImageNet training of Inception: a factor of 0.5 to 1.5, and +-0.2 of the circle.
* `epfl`, the EPFL student rerun's: brightness, saturation and contrast are all multiplied by 0.9 to
  1.1. That rerun left hue out; +-0.1 of the circle is ours.
* `half` and `quarter` of the first, ours, for a search of how far changes should go.

What whitening leaves of this. Per-image whitening subtracts an image's mean and divides by its
deviation, so up to rounding it undoes both brightnesses exactly: what is added, and what all
entries are multiplied by. Contrast acts in each channel about that channel's mean, while whitening
takes all channels at once: what survives is that the channels' means lie closer together or farther
apart, compared with the spread within channels. In grey images nothing survives. (Factors are not
quite undone where the deviation ends up below whitening's floor.) The tutorial's own code says that
its brightness and contrast likely have no effect (tensorflow#1458). Clipping would give brightness
an effect, but TensorFlow does not clip float images in these operations, in the first releases as
today; its ImageNet training, without whitening, clips to [0, 1] at the end, which is not done here.
Where saturation or hue comes between brightness and whitening, they see the changed image, and
brightness does have an effect.
"""

from collections.abc import Sequence

import tensorflow as tf

from repro.data import AUGMENTATION_RANGES, AUGMENTATIONS

SHARES = {"tensorflow": 1.0, "half": 0.5, "quarter": 0.25}  # of TensorFlow's ranges
BRIGHTNESS_SHIFT = 63 / 255  # the largest that is added, to either side
BRIGHTNESS_FACTORS = (0.9, 1.1)  # of the EPFL student rerun
CONTRAST_FACTORS = {
    "tensorflow": (0.2, 1.8),
    "half": (0.6, 1.4),
    "quarter": (0.8, 1.2),
    "epfl": (0.9, 1.1),
}
SATURATION_FACTORS = {
    "tensorflow": (0.5, 1.5),
    "half": (0.75, 1.25),
    "quarter": (0.875, 1.125),
    "epfl": (0.9, 1.1),
}
HUE_SHIFTS = {  # of the colour circle, to either side
    "tensorflow": 0.2,
    "half": 0.1,
    "quarter": 0.05,
    "epfl": 0.1,
}
MAX_ROTATION_DEGREES = 25.0  # Table 4's "rotation up to 25 degrees"
PADDED_SIZE_MARGIN = 4  # images no larger than the crop are padded by this before cropping


def augment(
    image: tf.Tensor,
    key: tf.Tensor,
    operations: Sequence[str],
    size: int,
    margin: int = PADDED_SIZE_MARGIN,
    ranges: str = "tensorflow",
) -> tf.Tensor:
    """Return one augmented image.

    Args:
      image: float32 [H, W, C] in [0, 1]; saturation and hue want C = 3.
      key: int32 or int64 [2]: (seed and epoch, example), as `example_key` makes it.
      operations: those of AUGMENTATIONS to apply, in that order whatever order they are named in.
      size: side of the crop; without `crop` the central one is taken.
      margin: images smaller than `size + margin` are padded with black to that before cropping.
      ranges: one of AUGMENTATION_RANGES, see the top of this file.

    Returns:
      float32 [size, size, C]; brightness and contrast may leave [0, 1]: nothing is clipped.

    Raises:
      ValueError: unknown operation or ranges.
    """
    check(operations, ranges)
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
        image = _brightened(image, keys["brightness"], ranges)
    if "saturation" in operations:
        image = tf.image.stateless_random_saturation(
            image, *SATURATION_FACTORS[ranges], keys["saturation"]
        )
    if "hue" in operations:
        image = tf.image.stateless_random_hue(image, HUE_SHIFTS[ranges], keys["hue"])
    if "contrast" in operations:
        image = tf.image.stateless_random_contrast(
            image, *CONTRAST_FACTORS[ranges], keys["contrast"]
        )
    if "rotation" in operations:
        degrees = _uniform(keys["rotation"], -MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES)
        image = rotate(image, degrees * (3.141592653589793 / 180))
    return image


def check(operations: Sequence[str], ranges: str = "tensorflow") -> None:
    """Raise ValueError if an operation or the ranges are unknown."""
    if ranges not in AUGMENTATION_RANGES:
        raise ValueError(f"unknown ranges {ranges!r}; choose from {', '.join(AUGMENTATION_RANGES)}")
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
        images=image[None],
        transforms=transform[None],
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )[0]


def _brightened(image: tf.Tensor, key: tf.Tensor, ranges: str) -> tf.Tensor:
    if ranges in SHARES:
        return tf.image.stateless_random_brightness(image, SHARES[ranges] * BRIGHTNESS_SHIFT, key)
    return image * _uniform(key, *BRIGHTNESS_FACTORS)


def _uniform(key: tf.Tensor, low: float, high: float) -> tf.Tensor:
    return tf.random.stateless_uniform([], key, low, high)

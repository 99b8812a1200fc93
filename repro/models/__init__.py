"""The networks of the five works: `build(name, input_shape, num_classes, **options)`.

Importing this room does not import TensorFlow: names can be listed before anything slow happens.
"""

import importlib
import random

MODELS = {  # name -> module of this room and the function in it
    "inception": ("inception", "inception"),
    "inception_no_bn": ("inception", "inception_no_bn"),
    "inception_bn_downsample_only": ("inception", "inception_bn_downsample_only"),
    "alexnet": ("alexnet", "alexnet"),
    "mlp_1x512": ("mlp", "mlp_1x512"),
    "mlp_3x512": ("mlp", "mlp_3x512"),
    "fnn": ("fnn", "fnn"),
    "fnn_tenth": ("fnn", "fnn_tenth"),
    "vgg_small": ("vgg_small", "vgg_small"),
    "wrn_28_1": ("resnet", "wrn_28_1"),
    "vgg16": ("vgg16", "vgg16"),
    "vgg16_bn": ("vgg16", "vgg16_bn"),
    "vgg16_quarter": ("vgg16", "vgg16_quarter"),
    "vgg16_quarter_bn": ("vgg16", "vgg16_quarter_bn"),
    "resnet18": ("resnet", "resnet18"),
    "resnet50": ("resnet", "resnet50"),
    "vgg16_gap": ("vgg16_gap", "vgg16_gap"),
    "densenet40": ("densenet", "densenet40"),
    "densenet40_plain": ("densenet", "densenet40_plain"),
    "inception_v3": ("inception_v3", "inception_v3"),
}
# Networks with a width multiplier, the option `width`.
WIDTHS = ("resnet18", "resnet50", "vgg16_gap", "densenet40", "densenet40_plain")


# The smallest side of an image that the pools of these networks leave a pixel of; others take any.
SMALLEST = {
    "vgg_small": 32,
    "vgg16": 32,
    "vgg16_bn": 32,
    "vgg16_quarter": 32,
    "vgg16_quarter_bn": 32,
    "densenet40": 4,
    "densenet40_plain": 4,
    "inception_v3": 75,
}


def build(
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    seed: int | None = None,
    **options,
):
    """Return the network `name` as a keras.Model from images [B, H, W, C] to float32 logits [B, k].

    Args:
      name: a key of MODELS.
      input_shape: (H, W, C), any number of channels C; the smallest sides are those of SMALLEST.
      num_classes: k.
      seed: fixes the initial weights and dropout's draws, as they are after
        `keras.utils.set_random_seed(seed)`, and leaves all other random numbers of the process
        alone. None: they go on from the state of Python's `random`, from which Keras draws; an
        `initializer` that is no name has random numbers of its own.
      **options: `dropout_rate` and `initializer` for all networks; `width` multiplies the channels
        of those in WIDTHS; see the function of the network.

    Raises:
      ValueError: unknown name, a width for a network that has none, images of a shape it cannot
        take, or no classes.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; choose from {', '.join(MODELS)}")
    if "width" in options and name not in WIDTHS:
        raise ValueError(f"{name} has no width; choose from {', '.join(WIDTHS)}")
    _check_shape(name, input_shape, num_classes)
    module, function = MODELS[name]
    make = getattr(importlib.import_module(f"repro.models.{module}"), function)
    if seed is None:
        return make(tuple(input_shape), num_classes, **options)
    before = random.getstate()
    random.seed(seed)  # Keras draws the seeds of initializers and of dropout from it
    try:
        return make(tuple(input_shape), num_classes, **options)
    finally:
        random.setstate(before)


def _check_shape(name: str, input_shape: tuple[int, int, int], num_classes: int) -> None:
    """Raise ValueError in one line where a network cannot take images or classes."""
    shape, smallest = tuple(input_shape), SMALLEST.get(name, 1)
    if len(shape) != 3 or any(n is None or n < 1 for n in shape):
        raise ValueError(f"input_shape must be (height, width, channels), not {shape}")
    if min(shape[:2]) < smallest:
        raise ValueError(
            f"{name} needs images of {smallest}x{smallest} or more, not {shape[0]}x{shape[1]}"
        )
    if num_classes < 1:
        raise ValueError(f"num_classes must be 1 or more, not {num_classes}")

"""The networks of the five works: `build(name, input_shape, num_classes, **options)`.

Importing this room does not import TensorFlow: names can be listed before anything slow happens.
"""

import importlib

MODELS = {  # name -> module of this room and the function in it
    "inception": ("inception", "inception"),
    "inception_no_bn": ("inception", "inception_no_bn"),
    "inception_bn_downsample_only": ("inception", "inception_bn_downsample_only"),
    "alexnet": ("alexnet", "alexnet"),
    "mlp_1x512": ("mlp", "mlp_1x512"),
    "mlp_3x512": ("mlp", "mlp_3x512"),
    "fnn": ("fnn", "fnn"),
    "vgg_small": ("vgg", "vgg_small"),
    "wrn_28_1": ("resnet", "wrn_28_1"),
    "vgg16": ("vgg16", "vgg16"),
    "vgg16_bn": ("vgg16", "vgg16_bn"),
    "vgg16_quarter": ("vgg16", "vgg16_quarter"),
    "vgg16_quarter_bn": ("vgg16", "vgg16_quarter_bn"),
    "resnet18": ("resnet", "resnet18"),
    "resnet50": ("resnet", "resnet50"),
    "vgg16_gap": ("vgg_bn", "vgg16_gap"),
    "densenet40": ("densenet", "densenet40"),
    "densenet40_plain": ("densenet", "densenet40_plain"),
    "inception_v3": ("inception_v3", "inception_v3"),
}
# Networks with a width multiplier, the option `width`.
WIDTHS = ("resnet18", "resnet50", "vgg16_gap", "densenet40", "densenet40_plain")


def build(name: str, input_shape: tuple[int, int, int], num_classes: int, **options):
    """Return the network `name` as a keras.Model from images [B, H, W, C] to float32 logits [B, k].

    Args:
      name: a key of MODELS.
      input_shape: (H, W, C).
      num_classes: k.
      **options: `dropout_rate` and `initializer` for all networks; `seed` fixes the initial
        weights and dropout's draws; `width` multiplies the channels of those in WIDTHS; see the
        function of the network.

    Raises:
      ValueError: unknown name, or a width for a network that has none.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; choose from {', '.join(MODELS)}")
    if "width" in options and name not in WIDTHS:
        raise ValueError(f"{name} has no width; choose from {', '.join(WIDTHS)}")
    module, function = MODELS[name]
    module = importlib.import_module(f"repro.models.{module}")
    return getattr(module, function)(input_shape, num_classes, **options)

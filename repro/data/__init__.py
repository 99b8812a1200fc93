"""Images and teachers: datasets, corruption, augmentation, and the pipeline that feeds training."""

# Listed here, so that a flag can be checked before augmentation.py imports TensorFlow.
AUGMENTATIONS = ("crop", "flip", "brightness", "saturation", "hue", "contrast", "rotation")

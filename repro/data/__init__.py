"""Images on their way to training: datasets, corruption, augmentation, and the pipeline.

Nothing here imports a paper. Names that flags are checked against stand in this file, so that a
command can be refused, or explain itself, before TensorFlow is imported.
"""

# Operations of augmentation.py, in the order in which they are applied.
AUGMENTATIONS = ("crop", "flip", "brightness", "saturation", "hue", "contrast", "rotation")
# How far they go: as in the original TensorFlow pipeline, or as in the EPFL student rerun.
# Half and a quarter of the first are ours.
AUGMENTATION_RANGES = ("tensorflow", "half", "quarter", "epfl")

# Kinds and options of corruption.py.
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

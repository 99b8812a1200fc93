"""Datasets of Liu et al. 2020 that tensorflow-datasets lacks: CINIC-10 and Restricted ImageNet.

Importing this module registers both; that imports tensorflow-datasets, so do it inside functions.
Their files have to be fetched by hand; `tools/prepare_data NAME --manual_dir=FOLDER` does the rest.
Neither was prepared from the real files by the authors; tests make small ones.
"""

import functools
import io
from collections.abc import Iterator

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.datasets.imagenet2012 import imagenet2012_dataset_builder as imagenet

CINIC10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
CINIC10_FOLDERS = {"train": "train", "validation": "valid", "test": "test"}
# Groups of ImageNet's classes, numbered in the order of their synsets, first and last: Restricted
# ImageNet of Tsipras et al. 2019. That Liu et al. used this one is likely, but not known.
RESTRICTED_CLASSES = {
    "dog": (151, 268),
    "cat": (281, 285),
    "frog": (30, 32),
    "turtle": (33, 37),
    "bird": (80, 100),
    "primate": (365, 382),
    "fish": (389, 397),
    "crab": (118, 121),
    "insect": (300, 319),
}
RESTRICTED_SIZE = 32  # of our images; the paper's is not known, its networks are for 32x32


class Cinic10(tfds.core.GeneratorBasedBuilder):
    """CINIC-10 (Darlow et al. 2018): 32x32 images of CIFAR-10's classes, mostly from ImageNet."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack CINIC-10.tar.gz and name the folder that holds train, valid and test."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "png", CINIC10_CLASSES)

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        folders = {
            split: epath.Path(dl_manager.manual_dir) / name
            for split, name in CINIC10_FOLDERS.items()
        }
        _require(folders.values())
        return {split: self._generate_examples(folder) for split, folder in folders.items()}

    def _generate_examples(self, folder: epath.Path) -> Iterator[tuple[str, dict]]:
        for label in CINIC10_CLASSES:
            _require([folder / label])
            for file in sorted((folder / label).glob("*.png")):
                yield f"{label}/{file.name}", {"image": file.read_bytes(), "label": label}


class RestrictedImagenet(tfds.core.GeneratorBasedBuilder):
    """Nine groups of ImageNet's classes, central squares scaled to 32x32; test: validation."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Name a folder that holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return _info(self, "png", RESTRICTED_CLASSES, RESTRICTED_SIZE)

    def _split_generators(self, dl_manager) -> dict[str, Iterator]:
        folder = epath.Path(dl_manager.manual_dir)
        train, val = folder / "ILSVRC2012_img_train.tar", folder / "ILSVRC2012_img_val.tar"
        _require([train, val])
        labels = imagenet.imagenet_common.get_validation_labels(str(val))
        return {
            "train": self._of_training(dl_manager.iter_archive(train)),
            "test": self._generate_examples(
                (name, labels[name], file) for name, file in dl_manager.iter_archive(val)
            ),
        }

    def _of_training(self, archive) -> Iterator[tuple[str, dict]]:
        """Read the archive of one archive per synset."""
        for synset, file in archive:
            if group_of(synset.removesuffix(".tar")) is not None:
                inner = tfds.download.iter_archive(
                    io.BytesIO(file.read()), tfds.download.ExtractMethod.TAR_STREAM
                )
                images = ((name, synset.removesuffix(".tar"), image) for name, image in inner)
                yield from self._generate_examples(images)

    def _generate_examples(self, images) -> Iterator[tuple[str, dict]]:
        for name, synset, file in images:
            group = group_of(synset)
            if group is not None:
                if name in imagenet.CMYK_IMAGES:
                    file = io.BytesIO(tfds.core.utils.jpeg_cmyk_to_rgb(file.read()))
                yield name, {"image": shrink(file.read()), "label": group}


def group_of(synset: str) -> str | None:
    """Return the group of an ImageNet synset, such as n02085620; None where it is in none.

    Raises:
      ValueError: ImageNet 2012 has no such synset.
    """
    number = _synsets().index(synset)
    for group, (first, last) in RESTRICTED_CLASSES.items():
        if first <= number <= last:
            return group
    return None


def shrink(encoded: bytes, size: int = RESTRICTED_SIZE):
    """Return the central square of an encoded image, scaled by averaging: uint8 [size, size, 3]."""
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    side = min(image.shape[:2])
    square = tf.image.resize_with_crop_or_pad(image, side, side)
    small = tf.image.resize(square, (size, size), method="area")
    return tf.cast(tf.round(small), tf.uint8).numpy()


@functools.cache
def _synsets() -> list[str]:
    return epath.Path(imagenet.imagenet_common.label_names_file()).read_text().split()


def _info(builder, encoding: str, names, size: int = 32) -> tfds.core.DatasetInfo:
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(size, size, 3), encoding_format=encoding),
            "label": tfds.features.ClassLabel(names=list(names)),
        }
    )
    return tfds.core.DatasetInfo(builder=builder, features=features)


def _require(paths) -> None:
    """Raise AssertionError, as tensorflow-datasets' builders do, where files are missing."""
    for path in paths:
        if not path.exists():
            raise AssertionError(f"the folder of --manual_dir has no {path.name}, wanted at {path}")

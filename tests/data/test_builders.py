"""CINIC-10 and Restricted ImageNet, prepared from small folders and archives made here."""

import io
import os
import tarfile

import numpy as np
import pytest
import tensorflow as tf

from repro.data import builders, datasets
from repro.tools import prepare_data

# First and last synset of two groups, and one of none, by ImageNet's list.
SYNSETS = {"n02085620": "dog", "n02113978": "dog", "n01641577": "frog", "n01440764": None}


def png(colour, size=32):
    return tf.io.encode_png(np.full((size, size, 3), colour, np.uint8)).numpy()


def jpeg(colour, height, width):
    return tf.io.encode_jpeg(np.full((height, width, 3), colour, np.uint8), quality=100).numpy()


def add(archive, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


# --- CINIC-10 -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cinic(tmp_path_factory):
    """Three images a class to train on, two for validation, one to test; prepared."""
    folder, prepared = tmp_path_factory.mktemp("cinic"), tmp_path_factory.mktemp("prepared")
    for split, count in (("train", 3), ("valid", 2), ("test", 1)):
        for label, name in enumerate(builders.CINIC10_CLASSES):
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                (place / f"cifar10-{split}-{number}.png").write_bytes(png(20 * label + number))
    prepare_data.prepare("cinic10", str(prepared), str(folder))
    return str(prepared)


def test_cinic10_is_read_as_other_datasets_are(cinic):
    train, test = datasets.load("cinic10", cinic, download=False)
    assert (len(train), len(test)) == (30, 10)
    assert train.images.shape == (30, 32, 32, 3) and train.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(train.labels), 3)
    # The colour of every image tells its class and number.
    np.testing.assert_array_equal(train.images[:, 0, 0, 0] // 20, train.labels)
    assert len(np.unique(train.images[:, 5, 7, 1])) == 30
    np.testing.assert_array_equal(test.images[:, 0, 0, 0], 20 * test.labels)


def test_cinic10_has_a_validation_split(cinic):
    validation, _ = datasets.load("cinic10", cinic, download=False, train_split="validation")
    np.testing.assert_array_equal(np.bincount(validation.labels), 2)


def test_class_names(cinic):
    assert prepare_data.check("cinic10", cinic).startswith("train: 30 images 32x32x3 in 10 classes")
    lines = [line.split() for line in prepare_data.listing(cinic).splitlines()]
    assert ["cinic10", "10", "prepared"] in lines
    assert ["restricted_imagenet", "9", "not", "prepared"] in lines


@pytest.mark.parametrize("name", ["cinic10", "restricted_imagenet"])
def test_missing_files_are_named(name, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("nothing of use")
    with pytest.raises(datasets.MissingDataError, match="by hand") as caught:
        prepare_data.prepare(name, str(tmp_path / "data"), str(tmp_path / "empty"))
    assert "\n" not in str(caught.value)
    assert ("train" if name == "cinic10" else "ILSVRC2012_img_train.tar") in str(caught.value)


def test_unprepared_data_says_what_to_run(tmp_path):
    with pytest.raises(datasets.MissingDataError, match="tools/prepare_data cinic10"):
        datasets.load("cinic10", str(tmp_path), download=False)


# --- Restricted ImageNet --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def restricted(tmp_path_factory):
    """A training archive of four synsets with two images each, and a validation archive."""
    folder, prepared = tmp_path_factory.mktemp("imagenet"), tmp_path_factory.mktemp("prepared")
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for number, synset in enumerate(SYNSETS):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for image in range(2):
                    add(archive, f"{synset}_{image}.JPEG", jpeg(40 * number + 10 * image, 40, 64))
            add(outer, f"{synset}.tar", inner.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as archive:
        for number in range(1, 41):
            add(archive, f"ILSVRC2012_val_{number:08}.JPEG", jpeg(number, 50, 36))
    prepare_data.prepare("restricted_imagenet", str(prepared), str(folder))
    return str(prepared)


def test_restricted_imagenet_keeps_and_groups_its_classes(restricted):
    train, _ = datasets.load("restricted_imagenet", restricted, download=False)
    assert train.images.shape == (6, 32, 32, 3)
    names = list(builders.RESTRICTED_CLASSES)
    found = sorted(
        (int(image[0, 0, 0]), names[label]) for image, label in zip(train.images, train.labels)
    )
    assert found == [(0, "dog"), (10, "dog"), (40, "dog"), (50, "dog"), (80, "frog"), (90, "frog")]


def test_its_test_set_is_the_validation_archive(restricted):
    """The labels of the first 40 validation images, as tensorflow-datasets lists them."""
    _, test = datasets.load("restricted_imagenet", restricted, download=False)
    place = builders.imagenet.imagenet_common.label_names_file()
    truth = os.path.join(os.path.dirname(place), "validation_labels.txt")
    with open(truth) as file:
        groups = [builders.group_of(line.strip()) for line in file][:40]
    names = list(builders.RESTRICTED_CLASSES)
    expected = {number: names.index(g) for number, g in enumerate(groups, start=1) if g}
    found = {int(image[0, 0, 0]): label for image, label in zip(test.images, test.labels)}
    assert 5 <= len(expected) < 30
    assert found == expected


def test_groups_have_the_published_sizes():
    """118 dogs, 5 cats, 3 frogs, 5 turtles, 21 birds, 18 primates, 9 fish, 4 crabs, 20 insects."""
    with open(builders.imagenet.imagenet_common.label_names_file()) as file:
        groups = [builders.group_of(line.strip()) for line in file]
    counts = [groups.count(name) for name in builders.RESTRICTED_CLASSES]
    assert counts == [118, 5, 3, 5, 21, 18, 9, 4, 20]
    assert builders.group_of("n02123045") == "cat"  # tabby
    assert builders.group_of("n02510455") is None  # giant panda


def test_shrinking_averages_the_central_square():
    """Left and right thirds are cut off; a checkerboard of the centre averages to its mean."""
    image = np.zeros((64, 192, 3), np.uint8)
    board = np.indices((64, 64)).sum(0) % 2
    image[:, 64:128] = (200 * board)[..., None]
    small = builders.shrink(tf.io.encode_png(image).numpy())
    assert small.shape == (32, 32, 3)
    np.testing.assert_array_equal(small, 100)


def test_unknown_synset():
    with pytest.raises(ValueError):
        builders.group_of("n00000000")

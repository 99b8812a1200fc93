"""What corruption refuses, before it would go wrong silently."""

import numpy as np
import pytest
import tensorflow as tf

from repro.data import corruption

IMAGES = np.zeros((4, 5, 5, 3), np.uint8)
LABELS = np.array([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "blurred"}, "choose from none, partial_labels, random_labels, shuffled_pixels"),
        ({"permute": "rows"}, "choose from entries, positions"),
        ({"gaussian_moments": "class"}, "choose from dataset, image"),
        ({"prob": 1.1}, "prob=1.1 .* must lie in"),
        ({"prob": -0.1}, "must lie in"),
        ({"prob": float("nan")}, "must lie in"),
        ({"kind": "partial_labels", "prob": None}, "wants prob"),
        ({"seed": -1}, "seed=-1 must lie in"),
        ({"seed": 2**59}, "must lie in"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 10.0}, "num_classes=10.0 must be a whole number, not float"),
        ({"seed": 0.5}, "seed=0.5 must be a whole number"),
        ({"prob": "0.4"}, "prob='0.4' must be a number, not str"),
        ({"labels": LABELS[:, None]}, r"labels are int64 \(4, 1\).*labels.ravel"),
        ({"labels": LABELS * 0.9}, r"labels are float64 \(4,\).*astype"),
        ({"labels": LABELS + 7}, r"labels lie in 7..10, not in 0..9"),
        ({"labels": LABELS - 1}, r"labels lie in -1..2"),
        ({"labels": LABELS[:3]}, "3 labels for 4 images"),
        ({"images": IMAGES[..., 0]}, r"images have the shape \(4, 5, 5\).*\[..., None\]"),
        ({"images": IMAGES[..., 0], "kind": "shuffled_pixels"}, "channel"),
        ({"ids": LABELS * 1.0}, "ids are float64"),
        ({"ids": LABELS[:, None]}, r"ids are int64 \(4, 1\)"),
        ({"ids": LABELS[:3]}, "3 ids for 4 images"),
        ({"ids": LABELS - 1}, "ids are negative or repeated"),
        ({"ids": LABELS // 2}, "ids are negative or repeated"),
        ({"moments": (np.zeros(2), np.ones(2))}, "moments of shape .* images of 3 channels"),
    ],
)
def test_arrays_and_options_are_checked(change, message):
    settings = {
        "images": IMAGES,
        "labels": LABELS,
        "kind": "gaussian",
        "prob": 0.5,
        "seed": 0,
        "num_classes": 10,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        corruption.corrupt(**settings)


def test_labels_may_be_corrupted_of_images_without_channels():
    grey = IMAGES[..., 0]
    images, _ = corruption.corrupt(grey, LABELS, "random_labels", None, 0, 10)
    assert images is grey


def test_gaussian_of_a_dataset_wants_its_moments():
    """A single example does not tell them."""
    with pytest.raises(ValueError, match=r"wants moments=.*channel_moments"):
        corruption.make("gaussian", seed=0, num_classes=10)


@pytest.mark.parametrize(
    ("kind", "images", "labels", "message"),
    [
        ("random_labels", IMAGES, LABELS * 1.0, "the label is float64"),
        ("random_labels", IMAGES, np.eye(4, dtype=int), r"the label is int64 \(4,\)"),
        ("random_labels", IMAGES, LABELS.astype(np.int8), "int8 cannot hold 1000 classes"),
        ("shuffled_pixels", IMAGES[..., 0], LABELS, r"shape \(5, 5\)"),
        ("random_pixels", IMAGES[..., 0], LABELS, r"shape \(5, 5\)"),
    ],
)
def test_a_dataset_is_checked_while_it_is_traced(kind, images, labels, message):
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).enumerate()
    with pytest.raises(ValueError, match=message):
        dataset.map(corruption.make(kind, seed=0, num_classes=1000))


def test_batches_and_images_of_unknown_size_are_refused():
    corrupted = corruption.make("random_pixels", seed=0, num_classes=10)
    dataset = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    with pytest.raises(ValueError, match="before they are batched"):
        dataset.enumerate().batch(2).map(lambda i, example: corrupted(i, example))
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([(IMAGES[0], 0)]),
        output_signature=(tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64)),
    )
    with pytest.raises(ValueError, match="resize images to one size"):
        unknown.enumerate().map(corrupted)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("label", [-1, 3, 200])
def test_a_label_that_is_no_class_is_an_error_once_it_is_met(label, dtype):
    labels = np.array([0, 2, label]).astype(dtype)
    wrong = corruption.make("random_labels", seed=0, num_classes=3)
    numbered = tf.data.Dataset.from_tensor_slices((IMAGES[:3], labels)).enumerate()
    assert len(list(numbered.take(2).map(wrong))) == 2
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"outside 0\.\.2.*num_classes"):
        list(numbered.map(wrong))
    with pytest.raises(ValueError, match=r"outside 0\.\.2"):
        wrong(2, (IMAGES[2], labels[2]))
    pixels = corruption.make("random_pixels", seed=0, num_classes=3)  # leaves labels alone
    assert [int(y) for _, y in numbered.map(pixels)] == labels.tolist()


def test_a_dataset_that_is_not_numbered_is_told_so():
    wrong = corruption.make("random_labels", seed=0, num_classes=4)
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    with pytest.raises(ValueError, match=r"dataset.enumerate\(\)"):
        pairs.map(wrong)
    with pytest.raises(ValueError, match=r"dataset.enumerate\(\)"):
        pairs.map(lambda image, label: (image, label, 1.0)).enumerate().map(wrong)


def test_labels_may_be_corrupted_of_several_inputs():
    """What stands in an image's place stays as it is: two inputs alike are not stacked."""
    wrong = corruption.make("random_labels", seed=0, num_classes=10)
    _, expected = corruption.corrupt(IMAGES, LABELS, "random_labels", None, 0, 10)
    for inputs in ((IMAGES, IMAGES), {"image": IMAGES, "text": np.array(list("abcd"))}):
        dataset = tf.data.Dataset.from_tensor_slices((inputs, LABELS))
        noisy = dataset.enumerate().map(wrong)
        assert noisy.element_spec[0] == dataset.element_spec[0]
        np.testing.assert_array_equal([label.numpy() for _, label in noisy], expected)
    noise = corruption.make("random_pixels", seed=0, num_classes=10)
    with pytest.raises(ValueError, match="the image is a dict, not one tensor"):
        dataset.enumerate().map(noise)

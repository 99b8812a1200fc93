"""ImageNet's streaming pipeline, on a small directory prepared like the real one."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from repro.data import corruption, imagenet
from repro.data.datasets import MissingDataError

SIZES = {"train": 10, "validation": 7}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Write 10 training and 7 validation images in the format of tfds's imagenet2012."""
    official = tfds.builder("imagenet2012", data_dir=tmp_path_factory.mktemp("unused"))

    with tfds.core.registered.skip_registration():

        class Imagenet2012(tfds.core.GeneratorBasedBuilder):
            VERSION = official.version

            def _info(self):
                features = {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(num_classes=1000),
                    "file_name": tfds.features.Text(),
                }
                features = tfds.features.FeaturesDict(features)
                return tfds.core.DatasetInfo(builder=self, features=features)

            def _split_generators(self, _):
                return {split: self._generate_examples(split) for split in SIZES}

            def _generate_examples(self, split):
                rng = np.random.default_rng(len(split))
                for number in range(SIZES[split]):
                    image = rng.integers(0, 256, (40 + number, 50, 3), np.uint8)
                    name = f"{split}_{number}.JPEG"
                    yield name, {"image": image, "label": number, "file_name": name}

    directory = tmp_path_factory.mktemp("data")
    Imagenet2012(data_dir=directory).download_and_prepare()
    return directory


@pytest.fixture(scope="module")
def builder(data_dir):
    return imagenet.open_builder(str(data_dir))


def corrupting(kind, seed=0, **options):
    return corruption.make(kind, seed=seed, num_classes=1000, **options)


def train_labels(builder, epoch, corrupt=None):
    batches = imagenet.StreamedTrainBatches(builder, "train", 5, 0, (), corrupt)
    return [labels.numpy() for _, labels in batches.epoch(epoch).take(batches.steps)]


def test_an_epoch_holds_every_example_in_an_order_of_its_own(builder):
    first, second = (np.concatenate(train_labels(builder, epoch)) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(first) == list(np.concatenate(train_labels(builder, 1)))


def test_last_batch_is_filled_up(builder):
    batches = imagenet.StreamedTrainBatches(builder, "train", 4, 0, ())
    labels = [labels.numpy() for _, labels in batches.epoch(1).take(batches.steps)]
    assert batches.steps == 3
    assert [len(batch) for batch in labels] == [4, 4, 4]
    assert set(np.concatenate(labels)) == set(range(10))


def test_images_are_scaled_and_cropped(builder):
    batches = imagenet.StreamedTrainBatches(builder, "train", 5, 0, ("crop", "flip"))
    images, _ = next(iter(batches.epoch(1)))
    assert images.shape == (5, 299, 299, 3)
    # Resizing interpolates, so that values stay within the scaled range of uint8.
    assert -1 <= np.min(images) < -0.5 and 0.5 < np.max(images) <= 1


def test_replaced_labels_are_fixed_by_seed_and_file_name(builder):
    random = corrupting("random_labels")
    epochs = [sorted(np.concatenate(train_labels(builder, epoch, random))) for epoch in (1, 2)]
    assert epochs[0] == epochs[1]
    assert epochs[0] != list(range(10))
    other = corrupting("random_labels", seed=1)
    assert epochs[0] != sorted(np.concatenate(train_labels(builder, 1, other)))


def by_label(batches, **arguments):
    """Return true label -> image, of pixel kinds, which keep labels."""
    rows = getattr(batches, "dataset", None) or batches.epoch
    pairs = [(row[0].numpy(), row[1].numpy()) for row in rows(**arguments).take(batches.steps)]
    images, labels = (np.concatenate(parts) for parts in zip(*pairs))
    return dict(zip(labels.tolist(), images))


@pytest.mark.parametrize("kind", corruption.PIXEL_KINDS)
def test_pixels_are_corrupted_after_resizing_before_the_crop(builder, kind):
    """Equal to corrupting the resized image by hand; the same in training and evaluation."""
    corrupt = corrupting(kind, moments=(100.0, 30.0))
    train = imagenet.StreamedTrainBatches(builder, "train", 5, 0, (), corrupt)
    first, second = (by_label(train, epoch=epoch) for epoch in (1, 2))
    evaluated = by_label(
        imagenet.StreamedEvaluationBatches(builder, "train", 5, corrupt, whole=True)
    )
    for example in builder.as_dataset(split="train").take(3):
        label, image = int(example["label"]), tf.image.resize(example["image"], (320, 320))
        id_ = tf.strings.to_hash_bucket_fast(example["file_name"], 2**62)
        image, _ = corrupt(id_, (image, example["label"]))
        middle = image[10:309, 10:309] / 127.5 - 1  # (320 - 299) // 2 = 10
        for seen in (first[label], second[label], evaluated[label]):
            # A division by 255, then doubling, or one by 127.5: roundings of values up to 4.
            np.testing.assert_allclose(seen, middle, atol=1e-6)


def test_sampled_moments_are_those_of_the_resized_pixels(builder):
    """Of all ten images here, by NumPy in float64."""
    images = [
        tf.image.resize(example["image"], (320, 320)).numpy().astype(np.float64)
        for example in builder.as_dataset(split="train")
    ]
    mean, std = imagenet.sampled_moments(builder, "train")
    np.testing.assert_allclose(mean, np.mean(images, (0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, np.std(images, (0, 1, 2)), rtol=1e-10)


@pytest.mark.parametrize("start", [1, 2])
@pytest.mark.parametrize("replicas", [1, 2])
def test_an_epoch_can_be_entered_at_any_step(builder, start, replicas):
    batches = imagenet.StreamedTrainBatches(builder, "train", 4, 0, ("crop", "brightness"))
    context = tf.distribute.InputContext(1, 0, replicas)
    parts = batches.steps * replicas
    whole = list(batches.epoch(1, context).take(parts))[start * replicas :]
    rest = list(batches.epoch(1, context, start=start).take(len(whole)))
    for one, other in zip(whole, rest):
        for quantity in range(2):
            np.testing.assert_array_equal(one[quantity], other[quantity])


def test_evaluation_meets_every_example_once(builder):
    batches = imagenet.StreamedEvaluationBatches(builder, "validation", 4)
    rows = list(batches.dataset().take(batches.steps))
    labels = np.concatenate([row[1].numpy() for row in rows])
    weights = np.concatenate([row[2].numpy() for row in rows])
    assert weights.sum() == 7
    assert sorted(labels[weights == 1]) == list(range(7))


def test_distorted_crops_are_boxes_of_the_image():
    """Pixels that hold their own place show where a box is, how large, and in what ratio."""
    rows, columns = np.mgrid[0:200, 0:240]
    image = np.stack([rows, columns, np.full_like(rows, 7)], axis=-1).astype(np.uint8)
    shares, ratios = [], []
    for example in range(60):
        key = tf.constant([3, example], tf.int64)
        crop = imagenet.distorted_crop(tf.constant(image), key).numpy()
        assert crop.shape == (299, 299, 3) and (crop[..., 2] == 7).all()
        np.testing.assert_array_equal(crop, imagenet.distorted_crop(tf.constant(image), key))
        height, width = np.ptp(crop[..., 0]) + 1, np.ptp(crop[..., 1]) + 1
        shares.append(height * width / (200 * 240))
        ratios.append(width / height)
    assert min(shares) > 0.05 * 0.9 and max(shares) <= 1 and np.ptp(shares) > 0.5
    assert min(ratios) > 0.75 * 0.9 and max(ratios) < 4 / 3 * 1.1 and np.ptp(ratios) > 0.3


def test_training_takes_distorted_crops_and_evaluation_does_not(builder):
    plain, distorted = (
        imagenet.StreamedTrainBatches(builder, "train", 5, 0, (), distorted=how)
        for how in (False, True)
    )
    (images, labels), (same, others) = (next(iter(b.epoch(1))) for b in (plain, distorted))
    np.testing.assert_array_equal(labels, others)
    assert same.shape == images.shape == (5, 299, 299, 3) and same.numpy().min() >= -1
    assert np.abs(same - images).max() > 0.1


def test_missing_imagenet_says_how_to_prepare_it(tmp_path):
    with pytest.raises(MissingDataError, match="tools/prepare_data imagenet2012 --manual_dir"):
        imagenet.open_builder(str(tmp_path))

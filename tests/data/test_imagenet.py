"""ImageNet's streaming pipeline, on a small directory prepared like the real one."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from repro.data import imagenet
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


def train_labels(builder, prob, epoch, seed=0):
    batches = imagenet.StreamedTrainBatches(builder, "train", 5, seed, prob, ())
    return [labels.numpy() for _, labels in batches.epoch(epoch).take(batches.steps)]


def test_an_epoch_holds_every_example_in_an_order_of_its_own(builder):
    first, second = (np.concatenate(train_labels(builder, 0.0, epoch)) for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)
    assert list(first) == list(np.concatenate(train_labels(builder, 0.0, 1)))


def test_last_batch_is_filled_up(builder):
    batches = imagenet.StreamedTrainBatches(builder, "train", 4, 0, 0.0, ())
    labels = [labels.numpy() for _, labels in batches.epoch(1).take(batches.steps)]
    assert batches.steps == 3
    assert [len(batch) for batch in labels] == [4, 4, 4]
    assert set(np.concatenate(labels)) == set(range(10))


def test_images_are_scaled_and_cropped(builder):
    batches = imagenet.StreamedTrainBatches(builder, "train", 5, 0, 0.0, ("crop", "flip"))
    images, _ = next(iter(batches.epoch(1)))
    assert images.shape == (5, 299, 299, 3)
    # Resizing interpolates, so that values stay within the scaled range of uint8.
    assert -1 <= np.min(images) < -0.5 and 0.5 < np.max(images) <= 1


def test_replaced_labels_are_fixed_by_seed_and_file_name(builder):
    epochs = [sorted(np.concatenate(train_labels(builder, 1.0, epoch))) for epoch in (1, 2)]
    assert epochs[0] == epochs[1]
    assert epochs[0] != list(range(10))
    assert epochs[0] != sorted(np.concatenate(train_labels(builder, 1.0, 1, seed=1)))


def test_share_of_replaced_labels():
    names = tf.constant([f"image_{number}" for number in range(2000)])
    labels = tf.map_fn(
        lambda name: imagenet.replaced_label(tf.constant(-1, tf.int64), name, 0.4, seed=3),
        names, fn_output_signature=tf.int64,
    )  # fmt: skip
    share = np.mean(labels.numpy() >= 0)
    assert abs(share - 0.4) < 4 * np.sqrt(0.4 * 0.6 / 2000)


def test_evaluation_meets_every_example_once(builder):
    batches = imagenet.StreamedEvaluationBatches(builder, "validation", 4, 0, 0.0)
    rows = list(batches.dataset().take(batches.steps))
    labels = np.concatenate([row[1].numpy() for row in rows])
    weights = np.concatenate([row[2].numpy() for row in rows])
    assert weights.sum() == 7
    assert sorted(labels[weights == 1]) == list(range(7))


def test_missing_imagenet_says_how_to_prepare_it(tmp_path):
    with pytest.raises(MissingDataError, match="tools/prepare_data imagenet2012 --manual_dir"):
        imagenet.open_builder(str(tmp_path))

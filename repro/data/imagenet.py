"""ImageNet, streamed: too large for memory, so batches come from files on disk (Figure 2a).

The classes here look to training like those of pipeline.py. Only labels can be corrupted. Nothing
of this was run on the real ImageNet by the authors; tests run it on a small prepared directory.
"""

from collections.abc import Sequence

import tensorflow as tf

from repro.data import augmentation
from repro.data.datasets import MissingDataError

IMAGE_SIZE = 299  # Inception V3's
RESIZED = 320  # what random crops are taken from
SHUFFLE_BUFFER = 10_000  # examples, beyond the shuffling of files
CORRUPTIONS = ("none", "partial_labels", "random_labels")


def open_builder(data_dir: str | None):
    """Return the tensorflow-datasets builder of a prepared imagenet2012.

    Raises:
      MissingDataError: it is not prepared; ImageNet's terms forbid downloading it automatically.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    if not builder.is_prepared():
        raise MissingDataError(
            f"imagenet2012 is not prepared in {builder.data_dir}. Put ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar into a folder and run `tools/prepare_data imagenet2012 "
            "--manual_dir=FOLDER`."
        )
    return builder


def replaced_label(
    label: tf.Tensor, file_name: tf.Tensor, prob: float, seed: int, num_classes: int = 1000
) -> tf.Tensor:
    """Return the label, replaced by a uniform class with probability `prob`.

    The draw is keyed by (seed, file name), so that labels are the same in every epoch.
    """
    key = tf.stack([tf.constant(seed, tf.int64), tf.strings.to_hash_bucket_fast(file_name, 2**62)])
    coin, drawn = tf.unstack(tf.random.stateless_uniform([2], key, dtype=tf.float64))
    return tf.where(coin < prob, tf.cast(drawn * num_classes, label.dtype), label)


class StreamedTrainBatches:
    """Training batches read from disk, in an order keyed by (seed, epoch)."""

    def __init__(
        self, builder, split: str, batch_size: int, seed: int, prob: float, augment: Sequence[str]
    ):
        augmentation.check(augment)
        self.batch_size = batch_size
        self.examples = builder.info.splits[split].num_examples
        self.steps = -(-self.examples // batch_size)
        self._builder, self._split, self._prob = builder, split, prob
        self._seed, self._augment = seed, tuple(augment)

    def epoch(self, epoch: int, context: tf.distribute.InputContext | None = None):
        """Return batches (images float32 [b, 299, 299, 3] in [-1, 1], labels int64 [b])."""
        context = context or tf.distribute.InputContext()
        seed = self._seed * 1_000_003 + epoch
        examples = _read(self._builder, self._split, context, seed)
        examples = examples.shuffle(SHUFFLE_BUFFER, seed=seed).repeat()  # fills the last batch
        examples = examples.map(lambda e: self._example(e, epoch), tf.data.AUTOTUNE)
        batch = context.get_per_replica_batch_size(self.batch_size)
        return examples.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def _example(self, example: dict, epoch: int) -> tuple[tf.Tensor, tf.Tensor]:
        name = example["file_name"]
        label = replaced_label(example["label"], name, self._prob, self._seed)
        image = tf.image.resize(example["image"], (RESIZED, RESIZED)) / 255
        key = augmentation.example_key(
            self._seed, epoch, tf.strings.to_hash_bucket_fast(name, 2**62)
        )
        image = augmentation.augment(image, key, self._augment, IMAGE_SIZE)
        return 2 * image - 1, label


class StreamedEvaluationBatches:
    """Un-augmented images of a split, each met exactly once; padding weighs nothing."""

    def __init__(self, builder, split: str, batch_size: int, seed: int, prob: float):
        self.examples = builder.info.splits[split].num_examples
        self.steps = -(-self.examples // batch_size)
        self._builder, self._split, self._prob = builder, split, prob
        self._seed, self._batch_size = seed, batch_size

    def dataset(self, context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        """Return batches (images, labels, weights float32 [b]) for the replicas of `context`."""
        context = context or tf.distribute.InputContext()
        examples = _read(self._builder, self._split, context).map(self._example, tf.data.AUTOTUNE)
        padding = tf.data.Dataset.from_tensors((
            tf.zeros((IMAGE_SIZE, IMAGE_SIZE, 3)), tf.constant(0, tf.int64), tf.constant(0.0)
        ))  # fmt: skip
        batch = context.get_per_replica_batch_size(self._batch_size)
        return examples.concatenate(padding.repeat()).batch(batch, drop_remainder=True).prefetch(2)

    def _example(self, example: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        label = replaced_label(example["label"], example["file_name"], self._prob, self._seed)
        image = tf.image.central_crop(example["image"], 0.875)
        image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE)) / 127.5 - 1
        return image, label, tf.constant(1.0)


def _read(builder, split: str, context: tf.distribute.InputContext, seed: int | None = None):
    """Read this worker's share of the files, in an order fixed by `seed`."""
    import tensorflow_datasets as tfds

    sharded = context if context.num_input_pipelines > 1 else None
    config = tfds.ReadConfig(shuffle_seed=seed, input_context=sharded)
    return builder.as_dataset(split=split, shuffle_files=seed is not None, read_config=config)

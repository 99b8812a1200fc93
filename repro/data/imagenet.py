"""ImageNet, streamed: too large for memory, so batches come from files on disk (Figure 2a).

The classes here look to training like those of pipeline.py. Every corruption of corruption.py can
be streamed: an image's id is the hash of its file name, and its pixels are corrupted once it has
been resized to RESIZED x RESIZED, before the crop. Distorted crops, those of TensorFlow's training
of Inception, come from the whole image instead, and so go with corruptions of labels only. Nothing
of this was run on the real ImageNet by the authors; tests run it on a small prepared directory.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from repro.data import augmentation
from repro.data.corruption import Corruption
from repro.data.datasets import MissingDataError, check_files
from repro.data.pipeline import check_start, per_replica

IMAGE_SIZE = 299  # Inception V3's
RESIZED = 320  # what random crops are taken from
SHUFFLE_BUFFER = 10_000  # examples, beyond the shuffling of files
CLASSES = 1000
# Images that moments are measured on. Image means differ by about 40 grey levels, which 10,000
# images average to 0.4; the files hold images in random order.
MOMENT_EXAMPLES = 10_000


def open_builder(data_dir: str | None):
    """Return the tensorflow-datasets builder of a prepared imagenet2012.

    Raises:
      MissingDataError: it is not prepared; ImageNet's terms forbid downloading it automatically.
      ValueError: see `datasets.check_files`.
    """
    import tensorflow_datasets as tfds

    check_files("imagenet2012", data_dir or tfds.core.constants.DATA_DIR)
    builder = tfds.builder("imagenet2012", data_dir=data_dir)
    if not builder.is_prepared():
        raise MissingDataError(
            f"imagenet2012 is not prepared in {builder.data_dir}. Put ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar into a folder and run `tools/prepare_data imagenet2012 "
            "--manual_dir=FOLDER`."
        )
    return builder


def sampled_moments(
    builder, split: str, examples: int = MOMENT_EXAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation of each channel over the first resized images of a split.

    Both are float64 [3], of pixels in 0..255, and the same on every worker. The whole of ImageNet
    would have to be decoded once for its exact moments; a sample is near enough for noise.
    """
    images = (
        _read(builder, split, tf.distribute.InputContext())
        .take(examples)
        .map(lambda example: tf.cast(_resized(example), tf.float64), tf.data.AUTOTUNE)
    )
    count, sums = images.reduce(
        (tf.constant(0.0, tf.float64), tf.zeros((2, 3), tf.float64)),
        lambda total, x: (
            total[0] + 1,
            total[1] + tf.reduce_mean(tf.stack([x, x**2]), axis=[1, 2]),
        ),
    )
    mean, square = (sums / count).numpy()
    return mean, np.sqrt(square - mean**2)


class StreamedTrainBatches:
    """Training batches read from disk, in an order keyed by (seed, epoch)."""

    def __init__(
        self,
        builder,
        split: str,
        batch_size: int,
        seed: int,
        augment: Sequence[str],
        corrupt: Corruption | None = None,
        ranges: str = "tensorflow",
        distorted: bool = False,
    ):
        """Prepare batches.

        Args:
          builder: as `open_builder` returns it.
          split: a split string of tensorflow-datasets.
          batch_size: of one step, over all replicas.
          seed: keys the order and the augmentation of every epoch.
          augment: operations of augmentation.AUGMENTATIONS.
          corrupt: as `corruption.make` returns it; None: nothing is corrupted.
          ranges: how far augmentation goes, one of AUGMENTATION_RANGES.
          distorted: first crop a random box of the whole image, see `distorted_crop`.

        Raises:
          ValueError: unknown augmentation or ranges.
        """
        augmentation.check(augment, ranges)
        self.batch_size = batch_size
        self.examples = builder.info.splits[split].num_examples
        self.steps = -(-self.examples // batch_size)
        self._builder, self._split, self._corrupt = builder, split, corrupt
        self._seed, self._augment, self._ranges = seed, tuple(augment), ranges
        self._distorted = distorted

    def epoch(
        self, epoch: int, context: tf.distribute.InputContext | None = None, start: int = 0
    ) -> tf.data.Dataset:
        """Return batches (images float32 [b, 299, 299, 3] in [-1, 1], labels int64 [b]).

        Args:
          epoch: keys the order and the augmentation.
          context: which replicas are fed; None: a single one.
          start: the first step to give; what comes before it is read, but not made into batches.

        Raises:
          ValueError: start outside 0..steps, or a batch that cannot be divided equally.
        """
        check_start(start, self.steps)
        context = context or tf.distribute.InputContext()
        seed = self._seed * 1_000_003 + epoch
        batch = per_replica(self.batch_size, context.num_replicas_in_sync)
        replicas = context.num_replicas_in_sync // context.num_input_pipelines  # of this worker
        examples = _read(self._builder, self._split, context, seed)
        examples = examples.shuffle(SHUFFLE_BUFFER, seed=seed).repeat()  # fills the last batch
        examples = examples.skip(start * batch * replicas)
        examples = examples.map(lambda e: self._example(e, epoch), tf.data.AUTOTUNE)
        return examples.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    def _example(self, example: dict, epoch: int) -> tuple[tf.Tensor, tf.Tensor]:
        key = augmentation.example_key(self._seed, epoch, _id(example))
        label = example["label"]
        image = distorted_crop(example["image"], key) if self._distorted else _resized(example)
        if self._corrupt:
            image, label = self._corrupt(_id(example), (image, label))
        image = augmentation.augment(
            image / 255, key, self._augment, IMAGE_SIZE, ranges=self._ranges
        )
        return 2 * image - 1, label


class StreamedEvaluationBatches:
    """Un-augmented images of a split, each met exactly once; padding weighs nothing."""

    def __init__(
        self,
        builder,
        split: str,
        batch_size: int,
        corrupt: Corruption | None = None,
        whole: bool = False,
    ):
        """Prepare batches.

        Args:
          builder, split, corrupt: as for StreamedTrainBatches.
          batch_size: of one step, over all replicas; rounded up where they cannot divide it.
          whole: False: the central 7/8 of an image, scaled, as Inception V3 is usually evaluated.
            True: the central crop of the resized image, as in training without random crops, which
            corruptions of pixels want in order to be the same there and here.
        """
        self.examples = builder.info.splits[split].num_examples
        self.steps = -(-self.examples // batch_size)
        self._builder, self._split, self._batch_size = builder, split, batch_size
        self._corrupt, self._whole = corrupt, whole

    def dataset(self, context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        """Return batches (images, labels, weights float32 [b]) for the replicas of `context`."""
        context = context or tf.distribute.InputContext()
        examples = _read(self._builder, self._split, context).map(self._example, tf.data.AUTOTUNE)
        padding = tf.data.Dataset.from_tensors(
            (tf.zeros((IMAGE_SIZE, IMAGE_SIZE, 3)), tf.constant(0, tf.int64), tf.constant(0.0))
        )
        batch = -(-self._batch_size // context.num_replicas_in_sync)
        return examples.concatenate(padding.repeat()).batch(batch, drop_remainder=True).prefetch(2)

    def _example(self, example: dict) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        image, label = example["image"], example["label"]
        if self._whole:
            image = _resized(example)
        if self._corrupt:
            image, label = self._corrupt(_id(example), (image, label))
        if self._whole:
            image = tf.image.resize_with_crop_or_pad(image, IMAGE_SIZE, IMAGE_SIZE)
        else:
            image = tf.image.central_crop(image, 0.875)
            image = tf.image.resize(image, (IMAGE_SIZE, IMAGE_SIZE))
        return image / 127.5 - 1, label, tf.constant(1.0)


def distorted_crop(image: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Return a random box of an image, scaled: float32 [IMAGE_SIZE, IMAGE_SIZE, 3] in 0..255.

    The box has 5 to 100 % of the image's area and sides in a ratio of 3/4 to 4/3, as in
    TensorFlow's training of Inception on ImageNet; no objects are asked for.

    Args:
      image: uint8 [H, W, 3].
      key: int64 [2], of (seed and epoch, example).
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.zeros([1, 0, 4]),
        seed=tf.stack([key[0], ~key[1]]),  # augmentation draws from the key itself
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.05, 1.0),
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    box = tf.slice(image, begin, size)
    box.set_shape([None, None, 3])
    return tf.image.resize(box, (IMAGE_SIZE, IMAGE_SIZE))


def _id(example: dict) -> tf.Tensor:
    """Return the number that keys every draw about an image, int64 in 0..2^62 - 1."""
    return tf.strings.to_hash_bucket_fast(example["file_name"], 2**62)


def _resized(example: dict) -> tf.Tensor:
    """Return the image scaled to one size, float32 [RESIZED, RESIZED, 3] in 0..255."""
    return tf.image.resize(example["image"], (RESIZED, RESIZED))


def _read(builder, split: str, context: tf.distribute.InputContext, seed: int | None = None):
    """Read this worker's share: of the files, in an order fixed by `seed`; without one of examples.

    Files hold different numbers of examples. Training goes on from the start of a share that ends
    early; an evaluation would miss the end of a long one.
    """
    import tensorflow_datasets as tfds

    workers, files = context.num_input_pipelines, None
    if workers > 1 and seed is None:
        split = tfds.even_splits(split, workers)[context.input_pipeline_id]
    elif workers > 1:
        files = context
    config = tfds.ReadConfig(shuffle_seed=seed, input_context=files)
    return builder.as_dataset(split=split, shuffle_files=seed is not None, read_config=config)

"""From arrays in memory to batches on devices: whitening, shuffling, augmentation.

The order of things: corruption acts on raw pixels (corruption.py), then /255, crop, whitening. So a
shuffled image is a shuffle of all 32x32 pixels of which the central 28x28 are kept, and Gaussian
noise is whitened like any image.
"""

import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from repro.data import augmentation
from repro.data.datasets import Images

IMAGE_SIZE = 28  # Zhang et al. 2017, section 2: central 28x28 crop of CIFAR-10
WHITENING_CHUNK = 5000  # images whitened at once, to bound memory
# Over all replicas, of which 1, 3, 6 and all powers of two up to 256 get equal shares. Another size
# changes numbers by rounding only.
EVALUATION_BATCH = 768

Normalize = Callable[[tf.Tensor], tf.Tensor]  # float32 [..., H, W, C] in [0, 1] -> same shape


def whiten(images: tf.Tensor) -> tf.Tensor:
    """Subtract each image's mean and divide by its standard deviation (per-image whitening).

    One mean and one population standard deviation over all H*W*C entries, the latter floored at
    1/sqrt(H*W*C): `tf.image.per_image_standardization`, the paper's `per_image_whitening`.

    Args:
      images: float32 [..., H, W, C]; a constant image becomes zeros.
    """
    return tf.image.per_image_standardization(images)


def channel_normalization(mean: Sequence[float], std: Sequence[float]) -> Normalize:
    """Return (x - mean) / std per channel, for images in [0, 1]: the alternative to whitening."""
    return lambda images: (images - tf.constant(mean, tf.float32)) / tf.constant(std, tf.float32)


def preprocess(
    images: np.ndarray, size: int = IMAGE_SIZE, normalize: Normalize | None = None
) -> tf.Tensor:
    """Return images as the networks see them without augmentation: /255, central crop, whitened.

    Args:
      images: uint8 or float32 [N, H, W, C] in 0..255.
      size: side of the crop; smaller images are padded with zeros.
      normalize: what is done last; None: `whiten`.

    Returns:
      float32 [N, size, size, C], in the host's memory: batches travel, data sets do not.
    """
    with tf.device("CPU"):
        chunks = []
        for start in range(0, len(images), WHITENING_CHUNK):
            chunk = tf.cast(images[start : start + WHITENING_CHUNK], tf.float32) / 255
            chunk = tf.image.resize_with_crop_or_pad(chunk, size, size)
            chunks.append((normalize or whiten)(chunk))
        return tf.concat(chunks, axis=0)


def whitening_errors(images: np.ndarray, size: int = IMAGE_SIZE) -> dict[str, float]:
    """Measure how far whitened images are from mean 0 and deviation 1, and constant ones from 0.

    Args:
      images: uint8 [N, H, W, C]; those whose deviation is below whitening's floor do not count.
    """
    whitened = preprocess(images, size)
    mean, variance = tf.nn.moments(whitened, axes=[1, 2, 3])
    raw = tf.image.resize_with_crop_or_pad(tf.cast(images, tf.float32) / 255, size, size)
    spread = tf.math.reduce_std(raw, axis=[1, 2, 3]) > 1 / np.sqrt(np.prod(whitened.shape[1:]))
    constant = preprocess(np.full((1, *images.shape[1:]), 200, np.uint8), images.shape[1])
    return {
        "mean": float(tf.reduce_max(tf.abs(mean))),
        "std": float(tf.reduce_max(tf.abs(tf.sqrt(variance[spread]) - 1))),
        "constant_image": float(tf.reduce_max(tf.abs(constant))),
    }


def epoch_order(count: int, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the examples of an epoch in their order, a permutation keyed by (seed, epoch).

    The last batch is filled up from the start of the permutation, so that every step has a full
    batch: ceil(N / B) steps of one static shape, as XLA, replicas and batch norm want it. Every
    example occurs at least once, and fewer than B of them once more.

    Returns:
      int64 [ceil(count / batch_size) * batch_size].
    """
    order = np.random.default_rng([seed, 2, epoch]).permutation(count)
    return np.resize(order, -(-count // batch_size) * batch_size)


class TrainBatches:
    """A training set on its way to the devices, shuffled and augmented anew in every epoch."""

    def __init__(
        self,
        data: Images,
        batch_size: int,
        seed: int,
        *,
        augment: Sequence[str] = (),
        whitened: tf.Tensor | None = None,
        size: int = IMAGE_SIZE,
        normalize: Normalize | None = None,
        margin: int = augmentation.PADDED_SIZE_MARGIN,
        shuffle: bool = True,
        ranges: str = "tensorflow",
    ):
        """Prepare batches of `data`.

        Args:
          data: raw images, labels and ids.
          batch_size: of one step, over all replicas.
          seed: keys the order and the augmentation of every epoch.
          augment: operations of augmentation.AUGMENTATIONS.
          whitened: `preprocess(data.images, size, normalize)` where it is at hand already.
          size: side of the images the network sees.
          normalize: what is done to images last; None: `whiten`.
          margin: of random crops, see augmentation.augment.
          shuffle: False: every epoch in the order of `data`.
          ranges: how far augmentation goes, one of AUGMENTATION_RANGES.

        Raises:
          ValueError: unknown augmentation or ranges.
        """
        augmentation.check(augment, ranges)
        self.batch_size = batch_size
        self.steps = -(-len(data) // batch_size)  # per epoch
        self._seed, self._augment, self._size = seed, tuple(augment), size
        self._normalize, self._margin, self._shuffle = normalize or whiten, margin, shuffle
        self._ranges = ranges
        with tf.device("CPU"):
            self._labels, self._ids = tf.constant(data.labels), tf.constant(data.ids)
            if augment:
                self._images = tf.constant(data.images)
            else:
                if whitened is None:
                    whitened = preprocess(data.images, size, normalize)
                self._images = _captured(whitened)

    def epoch(
        self, epoch: int, context: tf.distribute.InputContext | None = None, start: int = 0
    ) -> tf.data.Dataset:
        """Return an epoch's batches as a tf.data.Dataset of (images, labels).

        Args:
          epoch: keys the order and the augmentation.
          context: which replicas are fed; None: a single one. Replica r of R gets the r-th of R
            equal parts of every batch of `batch_size`.
          start: the first step to give, for a run that was stopped inside the epoch; the steps
            before it are left out, and those after it are what they are without.

        Returns:
          `steps - start` batches a replica: images float32 [b, size, size, C], labels int64 [b],
          where b = batch_size / R.

        Raises:
          ValueError: start outside 0..steps, or a batch that cannot be divided equally.
        """
        check_start(start, self.steps)
        if self._shuffle:
            order = epoch_order(len(self._labels), self.batch_size, self._seed, epoch)
        else:
            order = np.resize(np.arange(len(self._labels)), self.steps * self.batch_size)
        order = replica_share(order.reshape(self.steps, self.batch_size)[start:], context)
        if self._augment:
            examples = tf.data.Dataset.from_tensor_slices(order.reshape(-1)).map(
                lambda position: self._augmented(position, epoch),
                num_parallel_calls=os.cpu_count(),
                deterministic=True,
            )
            return _prefetched(examples.batch(order.shape[1], drop_remainder=True))
        return _prefetched(tf.data.Dataset.from_tensor_slices(order).map(self._gathered))

    @tf.autograph.experimental.do_not_convert
    def _gathered(self, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(self._images, positions), tf.gather(self._labels, positions)

    @tf.autograph.experimental.do_not_convert
    def _augmented(self, position: tf.Tensor, epoch: int) -> tuple[tf.Tensor, tf.Tensor]:
        key = augmentation.example_key(self._seed, epoch, self._ids[position])
        image = tf.cast(self._images[position], tf.float32) / 255
        image = augmentation.augment(
            image, key, self._augment, self._size, self._margin, self._ranges
        )
        return self._normalize(image), self._labels[position]


class EvaluationBatches:
    """Whitened images with labels, each met exactly once; padding weighs nothing."""

    def __init__(self, whitened: tf.Tensor, labels: np.ndarray, batch_size: int):
        """Prepare batches.

        Args:
          whitened: float32 [N, size, size, C], see `preprocess`.
          labels: int [N].
          batch_size: of one step, over all replicas; rounded up where they cannot divide it.
        """
        self.steps = -(-len(labels) // batch_size)
        self._batch_size = batch_size
        with tf.device("CPU"):
            self._images = _captured(whitened)
            self._labels = tf.constant(labels, tf.int64)

    def dataset(self, context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        """Return batches (images, labels, weights float32 [b]) for the replicas of `context`."""
        replicas, count = context.num_replicas_in_sync if context else 1, len(self._labels)
        positions = np.arange(self.steps * replicas * -(-self._batch_size // replicas))
        weights = (positions < count).astype(np.float32)
        shares = [
            replica_share(a.reshape(self.steps, -1), context) for a in (positions % count, weights)
        ]
        return _prefetched(tf.data.Dataset.from_tensor_slices(tuple(shares)).map(self._gathered))

    @tf.autograph.experimental.do_not_convert
    def _gathered(self, positions: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, ...]:
        both, begin, size = (self._images, self._labels), positions[0], positions.shape[0]

        def slices():  # of neighbours, which are not copied
            return tuple(
                tf.slice(a, [begin] + [0] * (a.ndim - 1), [size, *a.shape[1:]]) for a in both
            )

        def gathers():  # where a last batch begins again at 0
            return tuple(tf.gather(a, positions) for a in both)

        return *tf.cond(positions[-1] - begin == size - 1, slices, gathers), weights


def _captured(images: tf.Tensor | np.ndarray) -> tf.Tensor:
    """Return images as a tensor, to which functions of datasets refer; of an array each has a copy.

    Such a copy is a constant of the function's graph, made anew for every iterator.
    """
    return tf.convert_to_tensor(images)


def _prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Let batches wait for the step, without tf.data's autotuner.

    The autotuner's thread now and then takes a worker from the pool that multiplies matrices: on
    two cores whole epochs then ran at half speed. What is here needs no tuning.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options)


def check_start(start: int, steps: int) -> None:
    """Raise ValueError unless `start` is a step of an epoch, or its end."""
    if not 0 <= start <= steps:
        raise ValueError(f"start={start} must lie in 0..{steps}, the steps of an epoch")


def per_replica(batch_size: int, replicas: int) -> int:
    """Return the size of each replica's equal part of a batch.

    Raises:
      ValueError: the batch cannot be divided equally; the message names the nearest that can.
    """
    if batch_size % replicas:
        below = batch_size // replicas * replicas
        nearest = " and ".join(str(size) for size in (below, below + replicas) if size)
        raise ValueError(
            f"batch_size={batch_size} cannot be divided among {replicas} replicas: the nearest "
            f"that can are {nearest}"
        )
    return batch_size // replicas


def replica_share(batches: np.ndarray, context: tf.distribute.InputContext | None) -> np.ndarray:
    """Return what this worker's replicas take of each global batch, one row a replica and step.

    Args:
      batches: [steps, B].
      context: None: one replica takes everything.

    Returns:
      [steps * replicas of this worker, B / replicas overall].

    Raises:
      ValueError: the batch cannot be divided equally.
    """
    if context is None:
        return batches
    steps, batch_size = batches.shape
    replicas, workers = context.num_replicas_in_sync, context.num_input_pipelines
    size = per_replica(batch_size, replicas)
    parts = batches.reshape(steps, workers, replicas // workers, size)
    return parts[:, context.input_pipeline_id].reshape(-1, size)

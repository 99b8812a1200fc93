"""ImageNet's streaming pipeline, on a small directory prepared like the real one."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from repro.data import corruption, imagenet
from repro.data.datasets import MissingDataError


@pytest.fixture(scope="module")
def builder(imagenet_dir):
    return imagenet.open_builder(str(imagenet_dir))


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


def test_some_labels_are_replaced_by_seed_and_file_name(builder):
    """The same in every epoch and in evaluation as by hand, of the hash of the file's name."""
    hashes = {
        int(e["label"]): tf.strings.to_hash_bucket_fast(e["file_name"], 2**62)
        for e in builder.as_dataset(split="train", decoders={"image": tfds.decode.SkipDecoding()})
    }

    def by_hand(corrupt):
        image = tf.zeros([1, 1, 3])
        pairs = ((id_, (image, tf.constant(label, tf.int64))) for label, id_ in hashes.items())
        return sorted(int(corrupt(id_, pair)[1]) for id_, pair in pairs)

    partial = corrupting("partial_labels", prob=0.5)
    expected = by_hand(partial)
    for epoch in (1, 2):
        assert sorted(np.concatenate(train_labels(builder, epoch, partial))) == expected
    evaluated = imagenet.StreamedEvaluationBatches(builder, "train", 5, partial).dataset().take(2)
    assert sorted(np.concatenate([labels for _, labels, _ in evaluated])) == expected
    assert 0 < len(set(expected) & set(range(10))) < 10
    assert by_hand(corrupting("partial_labels", prob=0.5, seed=1)) != expected


def test_as_many_labels_are_replaced_as_asked_for():
    """Of 4,000 file names half; a uniform class is the true one once in 1,000."""
    names = tf.constant([f"n{number:08}.JPEG" for number in range(4000)])
    partial = corrupting("partial_labels", prob=0.5)
    ids = tf.data.Dataset.from_tensor_slices(tf.strings.to_hash_bucket_fast(names, 2**62))
    labels = ids.map(lambda id_: partial(id_, (tf.zeros([1, 1, 3]), tf.constant(7, tf.int64)))[1])
    replaced = np.mean(labels.batch(4000).get_single_element() != 7)
    # Five standard deviations of a share of 4,000 draws.
    assert abs(replaced - 0.5 * 0.999) < 5 * (0.25 / 4000) ** 0.5


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


@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_evaluation_batches_are_rounded_up_for_replicas(builder, replicas):
    """Batches of 5 become ones of 6 or 8; what fills them up weighs nothing."""
    batches = imagenet.StreamedEvaluationBatches(builder, "validation", 5)
    rows = batches.dataset(tf.distribute.InputContext(1, 0, replicas))
    rows = list(rows.take(batches.steps * replicas))
    assert {len(row[1]) for row in rows} == {-(-5 // replicas)}
    labels = np.concatenate([row[1].numpy() for row in rows])
    weights = np.concatenate([row[2].numpy() for row in rows])
    assert sorted(labels[weights == 1]) == list(range(7)) and weights.sum() == 7


@pytest.mark.parametrize("workers, replicas", [(2, 2), (3, 3), (2, 4)])
@pytest.mark.parametrize("batch", [4, 7])
def test_workers_meet_every_example_once_between_them(builder, workers, replicas, batch):
    """Files hold different numbers of examples: a worker's share are examples, not files."""
    batches = imagenet.StreamedEvaluationBatches(builder, "validation", batch)
    met = []
    for worker in range(workers):
        rows = batches.dataset(tf.distribute.InputContext(workers, worker, replicas))
        for _, labels, weights in rows.take(batches.steps * replicas // workers):
            met += list(labels.numpy()[weights.numpy() == 1])
    assert sorted(met) == list(range(7))


def test_a_training_batch_that_replicas_cannot_divide_is_one_line(builder):
    batches = imagenet.StreamedTrainBatches(builder, "train", 5, 0, ())
    expected = "batch_size=5 cannot be divided among 3 replicas: the nearest that can are 3 and 6"
    with pytest.raises(ValueError, match=expected) as caught:
        batches.epoch(1, tf.distribute.InputContext(1, 0, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("distorted", [False, True])
def test_shapes_are_known_before_a_step(builder, replicas, distorted):
    """As compilers for TPUs want them; crops of images of many sizes too."""
    context, b = tf.distribute.InputContext(1, 0, replicas), 4 // replicas
    train = imagenet.StreamedTrainBatches(
        builder, "train", 4, 0, ("crop", "flip", "hue"), distorted=distorted
    )
    spec = train.epoch(1, context).element_spec
    assert [part.shape for part in spec] == [(b, 299, 299, 3), (b,)]
    noise = corrupting("gaussian", moments=(100.0, 30.0)) if distorted else None
    evaluated = imagenet.StreamedEvaluationBatches(builder, "validation", 4, noise, whole=distorted)
    spec = evaluated.dataset(context).element_spec
    assert [part.shape for part in spec] == [(b, 299, 299, 3), (b,), (b,)]


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

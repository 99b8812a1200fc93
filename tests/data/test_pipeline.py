"""What reaches the network: whitening, order, shares of replicas, augmentation."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from repro.data import augmentation, datasets, pipeline
from repro.data.corruption import corrupt

# Whitened float32 values of a few units: means of 2352 terms and one division, 2^-24 each.
ROUNDING = 1e-5


def crop_and_whiten(images: np.ndarray, size: int) -> np.ndarray:
    """The paper's preprocessing in float64 NumPy: /255, central crop, whitening with its floor."""
    margin = (images.shape[1] - size) // 2
    x = images[:, margin : margin + size, margin : margin + size].astype(np.float64) / 255
    mean, std = x.mean((1, 2, 3), keepdims=True), x.std((1, 2, 3), keepdims=True)
    return (x - mean) / np.maximum(std, 1 / np.sqrt(x[0].size))


def context(worker=0, workers=1, replicas=1):
    return tf.distribute.InputContext(workers, worker, replicas)


# --- whitening ------------------------------------------------------------------------------------


def test_preprocess_is_the_papers(make_images):
    images = make_images(20, size=32).images
    whitened = pipeline.preprocess(images).numpy()
    assert whitened.shape == (20, 28, 28, 3)
    assert whitened.dtype == np.float32
    np.testing.assert_allclose(whitened, crop_and_whiten(images, 28), atol=ROUNDING)
    np.testing.assert_allclose(whitened.mean((1, 2, 3)), 0, atol=ROUNDING)
    np.testing.assert_allclose(whitened.std((1, 2, 3)), 1, atol=ROUNDING)


def test_whitening_takes_the_statistics_of_the_crop(make_images):
    """What is cropped away, here a white frame, leaves no trace."""
    images = make_images(3, size=32).images
    framed = np.full_like(images, 255)
    framed[:, 2:30, 2:30] = images[:, 2:30, 2:30]
    np.testing.assert_array_equal(pipeline.preprocess(framed), pipeline.preprocess(images))


def test_whitening_floors_the_deviation():
    """Deviation 1/255 = 0.0039 is below 1/sqrt(2352) = 0.0206, which divides in its place."""
    images = np.full((1, 28, 28, 3), 100, np.uint8)
    images[:, ::2] = 102
    whitened = pipeline.preprocess(images).numpy()
    expected = np.full((1, 28, 28, 3), -np.sqrt(2352) / 255)
    expected[:, ::2] *= -1
    np.testing.assert_allclose(whitened, expected, atol=CONSTANT)


# A float32 mean of 2352 entries errs by up to log2(2352) = 11 roundings of 2^-24, which the floor
# then multiplies by sqrt(2352) = 48.
CONSTANT = 11 * 2**-24 * 48.5


@pytest.mark.parametrize("value", [0, 77, 200, 255])
def test_constant_image_becomes_zeros(value):
    images = np.full((1, 28, 28, 3), value, np.uint8)
    np.testing.assert_allclose(pipeline.preprocess(images), 0, atol=CONSTANT)


def test_one_channel_has_its_own_floor():
    images = np.full((1, 28, 28, 1), 100, np.uint8)
    images[:, ::2] = 102
    assert np.abs(pipeline.preprocess(images)).max() == pytest.approx(28 / 255, abs=CONSTANT)


def test_small_images_are_padded(make_images):
    images = make_images(2, size=20).images
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    np.testing.assert_allclose(
        pipeline.preprocess(images), crop_and_whiten(padded, 28), atol=ROUNDING
    )


def test_chunks_do_not_show(make_images, monkeypatch):
    images = make_images(11, size=8).images
    whole = pipeline.preprocess(images, 8)
    monkeypatch.setattr(pipeline, "WHITENING_CHUNK", 4)
    np.testing.assert_array_equal(pipeline.preprocess(images, 8), whole)


def test_corruption_comes_before_crop_before_whitening(make_images):
    """A shuffle of 32x32 brings pixels into the crop that the crop alone would have lost."""
    data = make_images(4, size=32)
    data.images[:, 2:30, 2:30] = 0  # only the frame has content
    shuffled, _ = corrupt(data.images, data.labels, "shuffled_pixels", 0, 0, 10)
    seen = pipeline.TrainBatches(type(data)(shuffled, data.labels, data.ids), batch_size=4, seed=0)
    images, _ = next(iter(seen.epoch(1)))
    order = pipeline.epoch_order(4, 4, 0, 1)
    np.testing.assert_allclose(images, crop_and_whiten(shuffled, 28)[order], atol=ROUNDING)
    assert np.ptp(images) > 1
    assert np.abs(pipeline.preprocess(data.images)).max() < CONSTANT


def test_gaussian_noise_is_whitened_like_images(make_images):
    data = make_images(5, size=32)
    noise, _ = corrupt(data.images, data.labels, "gaussian", 0, 0, 10)
    np.testing.assert_allclose(
        pipeline.preprocess(noise), crop_and_whiten(noise, 28), atol=ROUNDING
    )


def test_whitening_errors_are_those_of_the_formula(make_images):
    errors = pipeline.whitening_errors(make_images(50, size=32).images)
    assert set(errors) == {"mean", "std", "constant_image"}
    assert max(errors["mean"], errors["std"]) < ROUNDING
    assert errors["constant_image"] < CONSTANT


def test_whitening_errors_notice_wrong_whitening(make_images, monkeypatch):
    monkeypatch.setattr(pipeline, "whiten", lambda images: images - 0.5)
    errors = pipeline.whitening_errors(make_images(50, size=32).images)
    assert min(errors.values()) > 1e-3


# --- order ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "batch"), [(10, 5), (10, 4), (3, 8), (1, 2), (391, 128)])
def test_every_example_occurs_and_batches_are_full(count, batch):
    order = pipeline.epoch_order(count, batch, seed=0, epoch=1)
    assert len(order) == np.ceil(count / batch) * batch
    occurrences = np.bincount(order, minlength=count)
    assert occurrences.min() >= 1
    np.testing.assert_array_equal(np.sort(order[:count]), np.arange(count))
    np.testing.assert_array_equal(order[count:], np.resize(order[:count], len(order) - count))
    if count >= batch:
        assert occurrences.max() <= 2


def test_order_is_keyed_by_seed_and_epoch():
    first = pipeline.epoch_order(100, 10, seed=0, epoch=1)
    np.testing.assert_array_equal(first, pipeline.epoch_order(100, 10, seed=0, epoch=1))
    assert (first != pipeline.epoch_order(100, 10, seed=0, epoch=2)).any()
    assert (first != pipeline.epoch_order(100, 10, seed=1, epoch=1)).any()


def test_batches_follow_the_order(make_images):
    data = make_images(10)
    batches = pipeline.TrainBatches(data, batch_size=4, seed=3, size=8)
    assert batches.steps == 3
    order = pipeline.epoch_order(10, 4, seed=3, epoch=7)
    images, labels = (np.concatenate(parts) for parts in zip(*batches.epoch(7)))
    np.testing.assert_array_equal(labels, data.labels[order])
    np.testing.assert_allclose(images, crop_and_whiten(data.images, 8)[order], atol=ROUNDING)


def test_whitened_images_at_hand_are_used(make_images):
    data = make_images(10)
    given = tf.random.stateless_normal([10, 8, 8, 3], [0, 0])
    batches = pipeline.TrainBatches(data, batch_size=10, seed=0, size=8, whitened=given)
    images, _ = next(iter(batches.epoch(1)))
    order = pipeline.epoch_order(10, 10, 0, 1)
    np.testing.assert_array_equal(images, given.numpy()[order])


# --- replicas -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "replicas"), [(1, 1), (1, 2), (2, 2), (2, 4), (1, 4)])
def test_shares_recombine_to_the_global_batch(workers, replicas):
    steps, batch = 3, 8
    batches = np.arange(steps * batch).reshape(steps, batch)
    shares = [
        pipeline.replica_share(batches, context(w, workers, replicas)) for w in range(workers)
    ]
    local = replicas // workers
    for share in shares:
        assert share.shape == (steps * local, batch // replicas)
    for step in range(steps):
        parts = [share[step * local : (step + 1) * local] for share in shares]
        np.testing.assert_array_equal(np.concatenate(parts, axis=None), batches[step])


def test_indivisible_batch_is_an_error():
    with pytest.raises(ValueError, match="batch_size=8 cannot be divided among 3 replicas"):
        pipeline.replica_share(np.zeros((2, 8)), context(replicas=3))


@pytest.mark.parametrize("augment", [(), ("crop", "flip", "brightness")])
def test_two_workers_see_what_one_would(make_images, augment):
    data = make_images(10)
    batches = pipeline.TrainBatches(data, batch_size=4, seed=0, size=8, augment=augment)
    alone = list(batches.epoch(2))
    shares = [list(batches.epoch(2, context(worker, 2, 2))) for worker in range(2)]
    for whole, *parts in zip(alone, *shares):
        for quantity in range(2):
            together = np.concatenate([part[quantity] for part in parts])
            np.testing.assert_array_equal(whole[quantity], together)


# --- going on inside an epoch ---------------------------------------------------------------------


@pytest.mark.parametrize("augment", [(), ("crop", "flip", "brightness", "contrast")])
@pytest.mark.parametrize("where", [None, context(0, 2, 2), context(1, 2, 2), context(0, 1, 2)])
@pytest.mark.parametrize("start", [0, 1, 3])
def test_an_epoch_can_be_entered_at_any_step(make_images, augment, where, start):
    """What is given is the whole epoch without its first steps, of each replica here."""
    batches = pipeline.TrainBatches(make_images(10), 4, seed=0, size=8, augment=augment)
    replicas = 2 if where and where.num_input_pipelines == 1 else 1
    whole = list(batches.epoch(2, where))[start * replicas :]
    rest = list(batches.epoch(2, where, start=start))
    assert len(rest) == len(whole) == (batches.steps - start) * replicas
    for one, other in zip(whole, rest):
        for quantity in range(2):
            np.testing.assert_array_equal(one[quantity], other[quantity])


@pytest.mark.parametrize("start", [-1, 4])
def test_an_epoch_has_no_such_step(make_images, start):
    batches = pipeline.TrainBatches(make_images(10), 4, seed=0, size=8)
    with pytest.raises(ValueError, match=f"start={start} must lie in 0..3"):
        batches.epoch(1, start=start)


# --- evaluation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("augment", [(), ("crop", "flip", "hue")])
@pytest.mark.parametrize("where", [None, context(), context(replicas=2), context(1, 2, 4)])
def test_shapes_are_known_before_a_step(make_images, augment, where):
    """As compilers for TPUs want them, of images that batches do not divide either."""
    images, b = make_images(10, size=32), 8 // (where.num_replicas_in_sync if where else 1)
    train = pipeline.TrainBatches(images, 8, 0, augment=augment)
    spec = train.epoch(1, where).element_spec
    assert [part.shape for part in spec] == [(b, 28, 28, 3), (b,)]
    whitened = pipeline.preprocess(images.images)
    spec = pipeline.EvaluationBatches(whitened, images.labels, 8).dataset(where).element_spec
    assert [part.shape for part in spec] == [(b, 28, 28, 3), (b,), (b,)]


@pytest.mark.parametrize("count", [1, 4, 5, 11])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 7, 256])
def test_evaluation_meets_each_example_once(count, replicas):
    """Labels that number the examples show which were met; weights say which of them count."""
    whitened = tf.reshape(tf.range(count, dtype=tf.float32), [count, 1, 1, 1])
    batches = pipeline.EvaluationBatches(whitened, np.arange(count), batch_size=4)
    assert batches.steps == -(-count // 4)
    met = []
    parts = list(batches.dataset(context(replicas=replicas)))
    assert len(parts) == batches.steps * replicas
    for images, labels, weights in parts:
        assert len(labels) == -(-4 // replicas)
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
        assert set(weights.numpy()) <= {0.0, 1.0}
        met += [label for label, weight in zip(labels.numpy(), weights.numpy()) if weight]
    assert sorted(met) == list(range(count))


def test_evaluation_batches_suit_a_pod():
    """For 1 to 256 replicas, as slices of TPUs have them, no batch is filled up for the rest."""
    count = pipeline.EVALUATION_BATCH
    batches = pipeline.EvaluationBatches(tf.zeros((count, 1, 1, 1)), np.zeros(count), count)
    for replicas in (2**k for k in range(9)):
        weights = [weights.numpy() for *_, weights in batches.dataset(context(replicas=replicas))]
        np.testing.assert_array_equal(weights, np.ones((replicas, count // replicas)))


# --- augmentation ---------------------------------------------------------------------------------


def augmented(data, operations, *, batch=4, seed=0, epoch=1, size=8):
    """Return id -> image of one epoch."""
    numbered = type(data)(data.images, data.ids, data.ids)  # labels that tell which image it is
    batches = pipeline.TrainBatches(numbered, batch, seed, augment=operations, size=size)
    pairs = itertools.chain.from_iterable(zip(*batch_) for batch_ in batches.epoch(epoch))
    return {int(id_): image.numpy() for image, id_ in pairs}


def test_augmentation_is_keyed_by_seed_epoch_and_example(make_images):
    data = make_images(10, size=12)
    operations = ("crop", "flip", "brightness", "contrast")
    first = augmented(data, operations)
    assert set(first) == set(range(10))

    def same(others):
        return [np.array_equal(first[id_], image) for id_, image in others.items()]

    assert all(same(augmented(data, operations)))
    assert all(same(augmented(data, operations, batch=3)))  # whatever batch it is in
    subset = data.take(np.array([8, 2, 5]))
    assert all(same(augmented(subset, operations)))
    assert not any(same(augmented(data, operations, epoch=2)))
    assert not any(same(augmented(data, operations, seed=1)))


def test_augmentation_is_whitened_after(make_images):
    data = make_images(6, size=12)
    for id_, image in augmented(data, ("crop", "brightness")).items():
        raw = tf.constant(data.images[id_] / np.float32(255))
        key = augmentation.example_key(0, 1, tf.constant(id_))
        changed = augmentation.augment(raw, key, ("crop", "brightness"), 8).numpy()
        expected = (changed - changed.mean()) / changed.std()
        np.testing.assert_allclose(image, expected, atol=ROUNDING)


def test_one_operation_is_all_that_differs_from_the_plain_path(make_images):
    """Flips alone: each image is the un-augmented one or its mirror image."""
    data = make_images(16, size=12)
    plain = pipeline.preprocess(data.images, 8).numpy()
    mirrored = 0
    for id_, image in augmented(data, ("flip",)).items():
        flipped = image if np.allclose(image, plain[id_], atol=ROUNDING) else image[:, ::-1]
        np.testing.assert_allclose(flipped, plain[id_], atol=ROUNDING)
        mirrored += flipped is not image
    assert 0 < mirrored < 16


def test_augmentation_takes_gaussian_noise_too(make_images):
    """Corrupted images may be float32 in 0..255."""
    data = make_images(8, size=12)
    noise, _ = corrupt(data.images, data.labels, "gaussian", 0, 0, 10)
    noisy = type(data)(noise, data.labels, data.ids)
    plain = pipeline.preprocess(noise, 8).numpy()
    images = augmented(noisy, ("flip",))
    for id_, image in images.items():
        difference = min(np.abs(i - plain[id_]).max() for i in (image, image[:, ::-1]))
        assert difference < ROUNDING


def test_unknown_augmentation_is_an_error_at_once(make_images):
    with pytest.raises(ValueError, match="choose from crop, flip"):
        pipeline.TrainBatches(make_images(4), 2, 0, augment=["blur"])


def test_ranges_reach_the_images(make_images):
    """Brightness is added or multiplied: told apart where nothing is normalised after."""
    data = make_images(6, size=8)
    raw = data.images / np.float32(255)
    for ranges, change in (("tensorflow", np.subtract), ("epfl", np.divide)):
        batches = pipeline.TrainBatches(
            data, 6, 0, augment=["brightness"], size=8, normalize=lambda x: x, ranges=ranges
        )
        images, _ = next(iter(batches.epoch(1)))
        before = raw[pipeline.epoch_order(6, 6, 0, 1)]
        bright = before > 0.1  # quotients of small numbers err
        for one, plain, clear in zip(images.numpy(), before, bright):
            assert np.ptp(change(one[clear], plain[clear])) < 10 * ROUNDING
    with pytest.raises(ValueError, match="choose from tensorflow, half, quarter, epfl"):
        pipeline.TrainBatches(data, 2, 0, ranges="wide")


@pytest.mark.parametrize("kind", ["train", "evaluation"])
def test_no_graph_holds_the_images(kind):
    """As a constant of the graph they were copied for every epoch and every evaluation."""
    images = np.zeros((200, 28, 28, 3), np.float32)  # 1.9 MB
    if kind == "train":
        raw = datasets.Images(images.astype(np.uint8), np.zeros(200, np.int64), np.arange(200))
        batches = pipeline.TrainBatches(raw, 50, 0, whitened=images).epoch(0)
    else:
        batches = pipeline.EvaluationBatches(images, np.zeros(200, int), 50).dataset()
    while not hasattr(batches, "_map_func"):
        batches = batches._input_dataset
    assert batches._map_func.function.graph.as_graph_def().ByteSize() < 10_000

"""Corruption of a tf.data.Dataset: the arrays' draws, in any order, on any worker."""

import numpy as np
import pytest
import tensorflow as tf

from repro.data import CORRUPTIONS, augmentation, corruption

COUNT, CLASSES = 24, 10
MOMENTS = (np.array([120.0, 110.0, 100.0]), np.array([60.0, 50.0, 40.0]))


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
    return images, rng.integers(0, CLASSES, COUNT)


@pytest.fixture(scope="module")
def dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays)


def options(kind):
    return {"prob": 0.5, "moments": MOMENTS} if kind != "random_labels" else {}


def mapped(dataset, kind, seed=0, **changes):
    """Return images and labels of a dataset of (id, (image, label))."""
    function = corruption.make(kind, seed=seed, num_classes=CLASSES, **{**options(kind), **changes})
    images, labels = zip(*dataset.map(function))
    return np.array(images), np.array(labels)


@pytest.mark.parametrize("permute", ["entries", "positions"])
@pytest.mark.parametrize("gaussian_moments", ["dataset", "image"])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_arrays_and_datasets_agree_to_the_bit(arrays, dataset, kind, permute, gaussian_moments):
    if "pixels" not in kind and permute != "entries":
        pytest.skip("has no permutation")
    if kind != "gaussian" and gaussian_moments != "dataset":
        pytest.skip("has no moments")
    chosen = {"permute": permute, "gaussian_moments": gaussian_moments}
    expected = corruption.corrupt(*arrays, kind, 0.5, 3, CLASSES, moments=MOMENTS, **chosen)
    found = mapped(dataset.enumerate(), kind, seed=3, **chosen)
    for one, other in zip(expected, found):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    if kind != "none":
        assert any((one != other).any() for one, other in zip(arrays, found))


def test_a_stranger_needs_one_line(dataset):
    """As the module says at its top."""
    corrupted = dataset.enumerate().map(
        corruption.make("partial_labels", prob=0.4, num_classes=10, seed=0)
    )
    assert corrupted.element_spec == dataset.element_spec
    assert len(list(corrupted)) == COUNT


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_order_batching_and_threads_do_not_matter(dataset, kind):
    """Shuffled, in part, cut into shards and drawn in a batch: each example keeps its draw."""
    images, labels = mapped(dataset.enumerate(), kind)
    numbered = dataset.enumerate()
    function = corruption.make(kind, seed=0, num_classes=CLASSES, **options(kind))
    others = [
        numbered.shuffle(COUNT, seed=1),
        numbered.filter(lambda id_, _: id_ % 3 == 1),
        numbered.shard(2, 1),
        numbered.batch(7).shuffle(4, seed=2).unbatch(),
    ]
    for other in others:
        pairs = other.map(lambda i, e: (i, function(i, e)), tf.data.AUTOTUNE, deterministic=False)
        met = 0
        for id_, (image, label) in pairs:
            np.testing.assert_array_equal(image, images[id_])
            assert label == labels[id_]
            met += 1
        assert met >= COUNT // 3


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_two_replicas_see_what_one_would(mirrored, dataset, kind):
    """The global batches of a mirrored strategy hold the examples of a single device."""
    images, labels = mapped(dataset.enumerate(), kind)
    function = corruption.make(kind, seed=0, num_classes=CLASSES, **options(kind))
    distributed = mirrored.experimental_distribute_dataset(
        dataset.enumerate().map(function).batch(8)
    )
    parts = [[mirrored.experimental_local_results(part) for part in pair] for pair in distributed]
    for whole, found in zip((images, labels), zip(*parts)):
        assert all(len(replicas) == 2 for replicas in found)
        np.testing.assert_array_equal(
            whole, np.concatenate([np.concatenate(replicas) for replicas in found])
        )


def test_grey_images_and_other_types_of_labels(arrays):
    """One channel, 32-bit labels: types are kept."""
    grey, labels = arrays[0][..., :1], arrays[1].astype(np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((grey, labels)).enumerate()
    images, same = mapped(dataset, "random_pixels")
    assert images.shape == grey.shape
    np.testing.assert_array_equal(
        np.sort(images.reshape(COUNT, -1)), np.sort(grey.reshape(COUNT, -1))
    )
    _, drawn = mapped(dataset, "random_labels")
    assert (same.dtype, drawn.dtype) == (np.int32, np.int32)


# --- keys -----------------------------------------------------------------------------------------


def draws(key):
    return tf.random.stateless_uniform([4], key, dtype=tf.float64, alg="philox").numpy().tobytes()


def test_no_two_draws_share_a_key():
    """Over streams, seeds and ids, those of neighbours and the largest; nor does augmentation."""
    seeds, ids = (0, 1, 2, 15, 16, 2**59 - 1), (0, 1, 16, 10**7, 2**62 - 1)
    keys = [
        corruption._key(seed, stream, id_)
        for seed in seeds
        for stream in corruption.STREAMS
        for id_ in ids
    ]
    keys += [
        augmentation.example_key(seed, epoch, tf.constant(id_, tf.int64))
        for seed in seeds[:-1]
        for epoch in (1, 2, 100)
        for id_ in ids
    ]
    assert len({tuple(key.numpy()) for key in keys}) == len(keys)
    assert len({draws(key) for key in keys}) == len(keys)
    assert max(corruption.STREAMS.values()) < corruption.MOST_STREAMS
    assert len(set(corruption.STREAMS.values())) == len(corruption.STREAMS)


def test_permutations_sort_without_ties():
    """float32 has 2^23 uniform values, of which 3,072 draws repeat some in two images of five."""
    key = corruption._key(0, "pixels", 0)
    image = tf.zeros((32, 32, 3), tf.uint8)
    order = corruption._order(key, image, "entries").numpy()
    uniform = tf.random.stateless_uniform([3072], key, dtype=tf.float64, alg="philox").numpy()
    assert len(np.unique(uniform)) == 3072
    np.testing.assert_array_equal(order, np.argsort(uniform))

"""Augmentation: every operation does what its name says, keyed by (seed, epoch, example)."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from repro.data import augmentation, pipeline

SIZE, EXAMPLES = 12, 40
# Sums of a few float32 numbers in [0, 1]: rounding of 2^-24 each, times a factor of about one.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def image():
    """One 16x16 image, all of whose pixels differ, with colours far from grey and from clipping."""
    return np.random.default_rng(0).uniform(0.2, 0.8, (16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def plain(image):
    """What the network sees without augmentation: the central 12x12."""
    return image[2:14, 2:14]


def augmented(
    image, *operations, seed=0, epoch=1, examples=EXAMPLES, size=SIZE, ranges="tensorflow"
):
    """Return the image as augmented for each of many examples, [examples, size, size, C]."""

    def one(example):
        key = augmentation.example_key(seed, epoch, example)
        return augmentation.augment(tf.constant(image), key, operations, size, ranges=ranges)

    return tf.map_fn(tf.function(one), tf.range(examples), tf.float32).numpy()


def test_without_operations_the_central_crop_remains(image, plain):
    np.testing.assert_array_equal(augmented(image, examples=1)[0], plain)


@pytest.mark.parametrize("operation", augmentation.AUGMENTATIONS)
def test_each_operation_alone_changes_images_by_key_alone(image, plain, operation):
    first = augmented(image, operation)
    assert first.shape == (EXAMPLES, SIZE, SIZE, 3)
    changed = [not np.array_equal(one, plain) for one in first]
    assert np.mean(changed) > 0.25  # half of the flips; all others almost always
    np.testing.assert_array_equal(first, augmented(image, operation))
    assert (first != augmented(image, operation, epoch=2)).any()
    assert (first != augmented(image, operation, seed=1)).any()
    assert len(np.unique(first.reshape(EXAMPLES, -1), axis=0)) > 1


def test_crop_takes_every_window_and_only_windows(image):
    windows = {
        image[row : row + SIZE, column : column + SIZE].tobytes(): (row, column)
        for row in range(5)
        for column in range(5)
    }
    # A given one of 25 windows is missed by 250 draws with probability (24/25)^250 = 4e-5.
    found = [windows[crop.tobytes()] for crop in augmented(image, "crop", examples=250)]
    assert set(found) == set(windows.values())


def test_crop_pads_images_that_leave_no_room(image):
    """A 12x12 image is set in 16x16 zeros, so that crops of it move it by up to 2 pixels."""
    small = image[:SIZE, :SIZE]
    padded = np.pad(small, ((2, 2), (2, 2), (0, 0)))
    windows = {
        padded[row : row + SIZE, column : column + SIZE].tobytes()
        for row in range(5)
        for column in range(5)
    }
    assert {crop.tobytes() for crop in augmented(small, "crop")} <= windows


def test_flip_mirrors_half_of_the_images(image, plain):
    mirrored = [np.array_equal(one, plain[:, ::-1]) for one in augmented(image, "flip")]
    same = [np.array_equal(one, plain) for one in augmented(image, "flip")]
    assert np.logical_xor(mirrored, same).all()
    # 4 sigma of a fair coin
    assert abs(np.mean(mirrored) - 0.5) < 4 * 0.5 / np.sqrt(EXAMPLES)


def used(draws, low, high):
    """Whether 40 uniform draws lie in a range and use more than half of it (chance 1 - 2^-34)."""
    inside = low - 1e-3 <= draws.min() and draws.max() <= high + 1e-3
    return inside and np.ptp(draws) > (high - low) / 2


def test_brightness_adds_up_to_63_grey_levels(image, plain):
    """Nothing is clipped: values leave [0, 1]."""
    bright = augmented(image, "brightness")
    shifts = bright - plain
    one_each = shifts.mean((1, 2, 3))
    np.testing.assert_allclose(shifts, one_each[:, None, None, None] + 0 * shifts, atol=ROUNDING)
    assert used(one_each, -63 / 255, 63 / 255)
    assert bright.min() < 0 < 1 < bright.max()


@pytest.mark.parametrize(("ranges", "share"), [("half", 0.5), ("quarter", 0.25)])
def test_a_share_of_the_ranges(image, plain, ranges, share):
    """The same draws as TensorFlow's ranges, so that brightness changes by just this share."""
    whole = augmented(image, "brightness") - plain
    part = augmented(image, "brightness", ranges=ranges) - plain
    np.testing.assert_allclose(part, share * whole, atol=2 * ROUNDING)
    for factors, reach in (
        (augmentation.CONTRAST_FACTORS, 0.8),
        (augmentation.SATURATION_FACTORS, 0.5),
    ):
        assert factors[ranges] == pytest.approx((1 - share * reach, 1 + share * reach))
    assert augmentation.HUE_SHIFTS[ranges] == pytest.approx(0.2 * share)


def test_brightness_of_the_rerun_multiplies(image, plain):
    factors = augmented(image, "brightness", ranges="epfl") / plain
    one_each = factors.mean((1, 2, 3))
    np.testing.assert_allclose(factors, one_each[:, None, None, None] + 0 * factors, rtol=ROUNDING)
    assert used(one_each, 0.9, 1.1)


RANGES = [("tensorflow", 0.2, 1.8), ("half", 0.6, 1.4), ("epfl", 0.9, 1.1)]


@pytest.mark.parametrize(("ranges", "low", "high"), RANGES)
def test_contrast_scales_about_each_channels_mean(image, plain, ranges, low, high):
    mean = plain.mean((0, 1), dtype=np.float64)
    factors = (augmented(image, "contrast", ranges=ranges) - mean) / (plain - mean)
    far = np.abs(plain - mean).min(axis=2) > 0.05  # where the quotient is well conditioned
    one_each = np.median(factors, axis=(1, 2, 3))
    np.testing.assert_allclose(
        factors[:, far],
        one_each[:, None, None] + 0 * factors[:, far],
        rtol=ROUNDING / 0.05 / low,
    )
    assert used(one_each, low, high)


@pytest.mark.parametrize("ranges", ["tensorflow", "epfl"])
def test_whitening_undoes_brightness(image, plain, ranges):
    """x + b, as f x, has the whitening of x: (x + b - mean - b) / std. Only rounding is left."""
    whitened = pipeline.whiten(augmented(image, "brightness", ranges=ranges)).numpy()
    expected = np.broadcast_to(pipeline.whiten(tf.constant(plain)), whitened.shape)
    np.testing.assert_allclose(whitened, expected, atol=10 * ROUNDING)


@pytest.mark.parametrize(("ranges", "low", "high"), RANGES)
def test_whitening_leaves_of_contrast_what_channels_differ_by(image, plain, ranges, low, high):
    """Closed form: c (x - m) + m, with m the channels' means, whitened over all channels.

    Its mean is that of m, M; its variance is c^2 of the variance within channels, W, plus that of
    the channels' means, B. Images whose channels have one mean have B = 0, and c cancels.
    """
    tinted = image + np.float32([0.1, 0.0, -0.1])  # channel means that differ by their deviation
    pixels = tinted[2:14, 2:14].astype(np.float64)
    m = pixels.mean((0, 1))
    within, between = (pixels - m).var(), m.var()
    for one in augmented(tinted, "contrast", ranges=ranges, examples=10):
        c = np.median((one - m) / (pixels - m))
        expected = (c * (pixels - m) + m - m.mean()) / np.sqrt(c**2 * within + between)
        np.testing.assert_allclose(pipeline.whiten(one).numpy(), expected, atol=1e-3)
    # A contrast of 0.2 leaves a deviation of 0.058, above whitening's floor 1/sqrt(432) = 0.048.
    grey = np.repeat((image[..., :1] - 0.2) / 0.6, 3, axis=-1)
    whitened = pipeline.whiten(augmented(grey, "contrast", ranges=ranges)).numpy()
    plain_grey = pipeline.whiten(tf.constant(grey[2:14, 2:14])).numpy()
    # Contrast 0.2 leaves a fifth of the deviation, beside which rounding is five times larger.
    np.testing.assert_allclose(
        whitened, np.broadcast_to(plain_grey, whitened.shape), atol=50 * ROUNDING
    )


def test_saturation_scales_hsv_saturation_alone(image, plain):
    def hsv(pixels):
        return np.array([colorsys.rgb_to_hsv(*p) for p in pixels.reshape(-1, 3).astype(float)])

    before = hsv(plain)
    for ranges, low, high in (("tensorflow", 0.5, 1.5), ("epfl", 0.9, 1.1)):
        for one in augmented(image, "saturation", examples=5, ranges=ranges):
            after = hsv(one)
            np.testing.assert_allclose(after[:, 2], before[:, 2], atol=ROUNDING)
            factor = np.median(after[:, 1] / before[:, 1])
            assert low - 1e-4 <= factor <= high + 1e-4
            # A colour cannot be more than saturated.
            expected = np.minimum(factor * before[:, 1], 1)
            np.testing.assert_allclose(after[:, 1], expected, atol=1e-4)


def test_hue_turns_the_colour_circle_alone(image, plain):
    def hsv(pixels):
        return np.array([colorsys.rgb_to_hsv(*p) for p in pixels.reshape(-1, 3).astype(float)])

    before = hsv(plain)
    coloured = before[:, 1] > 0.2  # hue of grey pixels is ill conditioned
    for ranges, most in (("tensorflow", 0.2), ("epfl", 0.1)):
        for one in augmented(image, "hue", examples=5, ranges=ranges):
            after = hsv(one)
            np.testing.assert_allclose(after[:, 1:], before[:, 1:], atol=1e-4)
            turn = (after[:, 0] - before[:, 0] + 0.5) % 1 - 0.5
            assert np.ptp(turn[coloured]) < 1e-4
            assert np.abs(turn[coloured]).max() <= most + 1e-4


def test_rotation_by_zero_is_the_identity(image):
    turned = augmentation.rotate(tf.constant(image), tf.constant(0.0)).numpy()
    np.testing.assert_array_equal(turned, image)


@pytest.mark.parametrize("size", [15, 16])
@pytest.mark.parametrize("quarters", [1, 2, -1])
def test_rotation_by_quarters_is_counter_clockwise(image, size, quarters):
    """Sampling points are off by about 1e-6 pixels, so values by about 1e-6 of their range."""
    square = image[:size, :size]
    turned = augmentation.rotate(tf.constant(square), tf.constant(np.float32(quarters * np.pi / 2)))
    np.testing.assert_allclose(turned.numpy(), np.rot90(square, quarters), atol=ROUNDING)


def test_small_rotations_move_linear_ramps_as_geometry_says():
    """Bilinear sampling is exact on ramps: away from edges, x and y turn as vectors do."""
    y, x = np.mgrid[-7.5:8, -7.5:8].astype(np.float32)
    ramps = np.stack([x, y, 0 * x], axis=-1)
    angle = np.float32(np.deg2rad(25))
    turned = augmentation.rotate(tf.constant(ramps), tf.constant(angle)).numpy()
    # Counter-clockwise on the screen, where y points down: output (x, y) shows the input at ...
    from_x, from_y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    inside = np.hypot(x, y) < 7
    np.testing.assert_allclose(turned[inside, 0], from_x[inside], atol=1e-4)
    np.testing.assert_allclose(turned[inside, 1], from_y[inside], atol=1e-4)


def test_rotations_stay_within_25_degrees(monkeypatch, image):
    angles = []
    monkeypatch.setattr(augmentation, "rotate", lambda i, angle: angles.append(float(angle)) or i)
    for example in range(200):
        key = augmentation.example_key(0, 1, tf.constant(example))
        augmentation.augment(tf.constant(image), key, ["rotation"], SIZE)
    degrees = np.rad2deg(angles)
    assert np.abs(degrees).max() <= 25
    # 200 uniform draws leave out a tenth of the range at either end with chance 0.95^200 < 4e-5
    assert degrees.min() < -22.5
    assert degrees.max() > 22.5


def test_operations_do_not_disturb_each_other(image):
    """The draw of one operation does not depend on which others are switched on."""
    flipped = augmented(image, "flip")
    shifts = augmented(image, "brightness", "flip") - flipped
    alone = augmented(image, "brightness") - image[2:14, 2:14]
    np.testing.assert_allclose(shifts.mean((1, 2, 3)), alone.mean((1, 2, 3)), atol=ROUNDING)
    np.testing.assert_allclose(shifts.std((1, 2, 3)), 0, atol=ROUNDING)


def test_unknown_operation_lists_the_choices(image):
    with pytest.raises(ValueError, match="unknown augmentation 'blur'; choose from crop, flip"):
        augmentation.augment(tf.constant(image), tf.constant([0, 0]), ["crop", "blur"], SIZE)


def test_unknown_ranges_list_the_choices(image):
    with pytest.raises(
        ValueError, match="unknown ranges 'wide'; choose from tensorflow, half, quarter, epfl"
    ):
        augmentation.augment(tf.constant(image), tf.constant([0, 0]), [], SIZE, ranges="wide")

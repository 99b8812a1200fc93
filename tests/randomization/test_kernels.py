"""Minimum-norm interpolation against closed forms, in float64."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from repro.data import datasets
from repro.randomization import features, interpolation, kernels
from repro.randomization.settings import Kernel
from repro.settings import settle


@pytest.fixture
def points(rng):
    """60 training and 25 test points in 80 dimensions, one-hot targets and labels."""
    train, test = rng.normal(size=(60, 80)), rng.normal(size=(25, 80))
    labels = rng.integers(0, 10, 60)
    return train, test, np.eye(10)[labels], labels


def closed_form(kernel, gamma, left, right):
    """The kernels as they are written down, by a distance that subtracts."""
    return {
        "linear": lambda: left @ right.T,
        "gaussian": lambda: np.exp(-gamma * cdist(left, right, "sqeuclidean")),
        "laplace": lambda: np.exp(-gamma * cdist(left, right)),
        "quartic": lambda: np.einsum("nd,md->nm", left, right) ** 4,
    }[kernel]()


# --- kernel matrices ------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [7, 60, 1000])
@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_kernels_are_what_they_are_written_as(points, kernel, block):
    """In chunks of features and in blocks; 1e-12 of the largest is rounding of 80 products."""
    train, test, *_ = points
    parts = [(train[:, :30], test[:, :30]), (train[:, 30:], test[:, 30:])]
    square, cross = kernels.kernel_matrices(parts, kernel, 0.01, block)
    for found, left in ((square, train), (cross, test)):
        expected = closed_form(kernel, 0.01, left, train)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_array_equal(square, square.T)


def test_a_point_is_at_no_distance_from_itself(rng):
    """However long it is: a difference of squared lengths would leave 1e-4 of these."""
    far = 1e6 + rng.normal(size=(5, 40))
    square, _ = kernels.kernel_matrices([(far, far)], "laplace", 1.0)
    np.testing.assert_array_equal(np.diag(square), 1.0)


def test_no_features_are_an_error():
    with pytest.raises(ValueError, match="no features"):
        kernels.kernel_matrices([], "linear", None)


# --- factoring and solving ------------------------------------------------------------------------


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("block", [1, 7, 30, 60, 100])
def test_blocked_is_unblocked(points, block, ridge):
    """Factor, solution, product with K, and eigenvalues, against LAPACK on the whole matrix."""
    train, test, targets, _ = points
    square, _ = kernels.kernel_matrices([(train, test)], "gaussian", 0.01)
    whole = square.copy()
    factored = kernels.factor(square, ridge, block)
    shifted = whole + ridge * np.eye(60)
    assert np.shares_memory(factored.array, square)
    np.testing.assert_allclose(np.tril(factored.array), np.linalg.cholesky(shifted), atol=1e-13)
    np.testing.assert_allclose(factored.times(targets), whole @ targets, atol=1e-13)
    np.testing.assert_allclose(factored.times(targets[:, 0]), whole @ targets[:, 0], atol=1e-13)
    np.testing.assert_allclose(
        factored.solve(targets), np.linalg.solve(shifted, targets), atol=1e-11
    )
    values = np.linalg.eigvalsh(shifted)
    assert factored.extreme_eigenvalues() == pytest.approx((values[0], values[-1]), rel=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_eigenvalues_of_few_points(size):
    whole = np.eye(size) + 0.5
    values = np.linalg.eigvalsh(whole)
    found = kernels.factor(whole.copy()).extreme_eigenvalues()
    assert found == pytest.approx((values[0], values[-1]), rel=1e-6)


def test_a_singular_matrix_is_refused(rng):
    rows = rng.normal(size=(20, 5))
    with pytest.raises(ValueError, match="singular to rounding: use fewer training examples"):
        kernels.factor(rows @ rows.T)
    with pytest.raises(ValueError, match="singular"):
        kernels.factor(np.full((3, 3), np.nan))
    assert kernels.factor(rows @ rows.T, ridge=1.0).ridge == 1.0


# --- the solution ---------------------------------------------------------------------------------


def solved(points, kernel, gamma=None, block=17):
    train, test, targets, _ = points
    square, cross = kernels.kernel_matrices([(train, test)], kernel, gamma, block)
    factored = kernels.factor(square, block=block)
    alpha = factored.solve(targets)
    return factored, alpha, cross


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_interpolation_reproduces_the_labels(points, kernel):
    """Exactly, but for rounding times the condition number, which is below 1e4 here."""
    factored, alpha, _ = solved(points, kernel, 0.01)
    np.testing.assert_allclose(factored.times(alpha), points[2], atol=1e-10)


def test_the_linear_solution_is_the_pseudo_inverses(points):
    """Equation 3: X' alpha is pinv(X) y, its test outputs and its norm are that solution's."""
    train, test, targets, _ = points
    factored, alpha, cross = solved(points, "linear")
    weights = np.linalg.pinv(train) @ targets
    np.testing.assert_allclose(train.T @ alpha, weights, atol=1e-12)
    np.testing.assert_allclose(cross @ alpha, test @ weights, atol=1e-12)
    assert kernels.rkhs_norm(factored, alpha) == pytest.approx(np.linalg.norm(weights), rel=1e-12)


@pytest.mark.parametrize("kernel", kernels.KERNELS)
def test_identities_of_the_norm(points, kernel):
    """alpha'K alpha = alpha'y = y'K^-1 y where K alpha = y; and no function that fits is shorter.

    A function with the same values at the points and a further centre z is f + c g, where
    g = k(z, .) - sum_i (K^-1 k_z)_i k(x_i, .) vanishes at the points and is orthogonal to f.
    """
    train, test, targets, _ = points
    factored, alpha, _ = solved(points, kernel, 0.01)
    norm = kernels.rkhs_norm(factored, alpha)
    assert norm**2 == pytest.approx(np.sum(alpha * targets), rel=1e-9)
    whole = closed_form(kernel, 0.01, train, train)
    assert norm**2 == pytest.approx(np.trace(targets.T @ np.linalg.inv(whole) @ targets), rel=1e-9)

    centres = np.vstack([train, test[:1]])
    larger = closed_form(kernel, 0.01, centres, centres)
    vanishing = np.append(-np.linalg.solve(whole, larger[:-1, -1]), 1.0)[:, None]
    other = np.vstack([alpha, np.zeros((1, 10))]) + 0.1 * vanishing
    np.testing.assert_allclose((larger @ other)[:-1], targets, atol=1e-9)
    assert np.sum(other * (larger @ other)) > norm**2 * (1 + 1e-6)


def test_gradient_descent_from_zero_ends_at_it(points):
    """R22; from other weights it ends off by their part outside of the span of the points."""
    train, _, targets, _ = points
    factored, alpha, _ = solved(points, "linear")
    low, high = factored.extreme_eigenvalues()
    zero = np.zeros((80, 10))
    found = kernels.descend(train, targets, zero, 2000, low, high)
    np.testing.assert_allclose(found, train.T @ alpha, atol=1e-9)

    start = np.random.default_rng(1).normal(size=(80, 10))
    outside = start - np.linalg.pinv(train) @ (train @ start)
    ended = kernels.descend(train, targets, start, 2000, low, high)
    np.testing.assert_allclose(train @ ended, targets, atol=1e-8)
    np.testing.assert_allclose(ended - train.T @ alpha, outside, atol=1e-8)


def test_plain_gradient_descent_ends_there_too(points):
    """Without momentum, which equal extreme eigenvalues mean."""
    train, _, targets, _ = points
    _, alpha, _ = solved(points, "linear")
    high = np.linalg.norm(train, 2) ** 2
    found = kernels.descend(train, targets, np.zeros((80, 10)), 5000, high, high)
    np.testing.assert_allclose(found, train.T @ alpha, atol=1e-6)


def test_margins_by_hand():
    outputs = np.array([[0.2, 0.9, 0.1], [0.5, 0.4, 0.6], [1.0, 0.0, 0.0]])
    found = kernels.margins(outputs, np.array([1, 0, 0]))
    np.testing.assert_allclose(found, [0.7, -0.1, 1.0], atol=1e-15)


# --- equal points ---------------------------------------------------------------------------------


def test_merged_points_give_the_pseudo_inverses_solution(points):
    """Which for a singular K is the mean label on equal points, and the shortest that has it."""
    train, test, _, labels = points
    twice = np.vstack([train, train[:5], train[:3]])
    other = (labels[:5] + np.array([0, 0, 1, 1, 1])) % 10
    labels = np.concatenate([labels, other, labels[:3]])
    merged = interpolation.merge(twice, labels, 10)
    assert len(merged.kept) == 60
    # 0 and 1 thrice with one label; 2 twice with its own and once with another, 3 and 4 once each.
    assert (merged.contradictory, merged.unavoidable) == (3 + 2 + 2, 1 + 1 + 1)
    square, cross = kernels.kernel_matrices([(twice[merged.kept], test)], "gaussian", 0.01)
    alpha = kernels.factor(square).solve(merged.targets)
    whole = closed_form("gaussian", 0.01, twice, twice)
    pinv = np.linalg.pinv(whole, rcond=1e-10) @ np.eye(10)[labels]
    expected = closed_form("gaussian", 0.01, test, twice) @ pinv
    np.testing.assert_allclose(cross @ alpha, expected, atol=1e-9)


def test_points_that_differ_are_left_alone(points):
    train, _, targets, labels = points
    merged = interpolation.merge(train, labels, 10)
    np.testing.assert_array_equal(merged.kept, np.arange(60))
    np.testing.assert_array_equal(merged.targets, targets)
    assert (merged.contradictory, merged.unavoidable) == (0, 0)


# --- features -------------------------------------------------------------------------------------


def test_pixels_by_hand():
    images = np.array([[0, 51, 102, 255] * 4, [7] * 16], np.uint8).reshape(2, 4, 4, 1)
    rows = np.array([[0, 0.2, 0.4, 1.0] * 4, [7 / 255] * 16])
    np.testing.assert_allclose(features.plain(images, "pixels"), rows, atol=1e-15)
    lengths = np.sqrt([4 * 1.2, 16 * (7 / 255) ** 2])
    found = features.plain(images, "normalized")
    np.testing.assert_allclose(found, rows / lengths[:, None], atol=1e-15)
    white = features.plain(images, "whitened")
    np.testing.assert_allclose(white[0], (rows[0] - 0.4) / np.sqrt(0.14), atol=1e-12)
    np.testing.assert_allclose(white[1], 0, atol=1e-12)  # constant: floored, not blown up
    assert not features.plain(np.zeros_like(images), "normalized").any()


def test_responses_by_hand():
    """One patch of three pixels' signs at each of 2 x 3 positions: sums over the four quarters."""
    patches = np.zeros((1, 2, 3, 2), np.float32)
    patches[0, :, :, 0] = [[1, 2, 3], [-1, -2, -3]]
    found = features._responses(patches, np.array([[1.0], [0.0]], np.float32))
    # Beyond 0.25: above, left 0.75, right 1.75 + 2.75; below the same with the other sign.
    np.testing.assert_allclose(found, [[0.75, 4.5, 0, 0, 0, 0, 0.75, 4.5]], atol=1e-6)


def test_patches_are_cut_where_they_are(rng):
    images = rng.integers(0, 256, (3, 5, 6, 2), dtype=np.uint8)
    found = features._patches(images, 3)
    assert found.shape == (3, 3, 4, 18)
    np.testing.assert_array_equal(found[1, 2, 1], images[1, 2:5, 1:4].reshape(-1))
    some = features._some_patches(images, 3, 40, rng)
    everything = {tuple(row) for row in found.reshape(-1, 18)}
    assert all(tuple(row) in everything for row in some)


@pytest.mark.parametrize("source", ["patches", "noise"])
def test_filters_in_parts_are_filters_at_once(make_images, monkeypatch, source):
    """As long as the images on average; the same whatever number is computed together."""
    train, test = make_images(30, size=12).images, make_images(10, size=12, seed=1).images
    (whole,) = features.filters(train, test, 20, 4, source, seed=3)
    assert whole[0].shape == (30, 160) and whole[1].shape == (10, 160)
    squares = ((train / 255.0) ** 2).sum((1, 2, 3)).mean()
    assert (whole[0] ** 2).sum(1).mean() == pytest.approx(squares, rel=1e-5)
    monkeypatch.setattr(features, "FILTERS_AT_ONCE", 7)
    parts = list(features.filters(train, test, 20, 4, source, seed=3))
    assert [part[0].shape[1] for part in parts] == [56, 56, 48]
    for number in (0, 1):
        products = sum(part[number] @ part[0].T for part in parts)
        np.testing.assert_allclose(products, whole[number] @ whole[0].T, rtol=1e-4)
    (other,) = features.filters(train, test, 5, 4, source, seed=4)
    assert not np.allclose(other[0][:, :5], whole[0][:, :5])


def test_patches_are_whitened(rng):
    """Their covariance becomes E / (E + 0.1), E its eigenvalues before."""
    sample = rng.normal(100, 20, size=(5000, 12)) + 30 * rng.normal(size=(5000, 1))
    centred = sample - sample.mean(1, keepdims=True)
    normalized = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 10)
    values, vectors = np.linalg.eigh(np.cov(normalized.T, bias=True))
    found = np.cov(features._patch_whitening(sample)(sample).T, bias=True)
    expected = vectors @ np.diag(values / (values + 0.1)) @ vectors.T
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_wavelets_see_waves_and_no_constant():
    """A wave of one of the lengths and directions answers most strongly in its own wavelet."""
    wave = np.tile(127 + 100 * np.cos(2 * np.pi * np.arange(64) / 6), (64, 1))
    images = np.stack([wave, np.full((64, 64), 200.0)]).astype(np.uint8)[..., None]
    bank = [features._wavelet(length, 0.0) for length in features.WAVELENGTHS]
    bank.append(features._wavelet(6.0, np.pi / 2))

    def answer(image, wavelet):
        half = len(wavelet) // 2
        window = slice(32 - half, 33 + half)
        return np.abs((image[window, window, 0] * np.conj(wavelet)).sum())

    middle = [[answer(image, wavelet) for wavelet in bank] for image in images]
    assert np.argmax(middle[0]) == 1
    assert max(middle[1]) < 1e-3 * max(middle[0])
    train, test = features.gabor(images, images[:1])
    assert train.shape == (2, 16 * 16 * 24)
    np.testing.assert_allclose(test, train[:1])


# --- whole runs -----------------------------------------------------------------------------------

DIGITS = {"dataset": "digits", "train_examples": 300}


@pytest.mark.parametrize("corruption", ["none", "random_labels"])
def test_a_run_takes_true_and_random_labels(make, tmp_path, corruption):
    result = make(Kernel(**DIGITS, corruption=corruption), tmp_path / "run")
    assert (result["train_errors"], result["train_accuracy"]) == (0, 1.0)
    assert result["largest_residual"] < 1e-8
    assert (result["train_examples"], result["test_examples"]) == (300, 359)
    assert result["train_margin"] == pytest.approx(1, abs=1e-6)
    assert result["normalized_margin"] == pytest.approx(1 / result["rkhs_norm"], rel=1e-6)
    p = result["test_error"]
    assert result["test_error_se"] == pytest.approx((p * (1 - p) / 359) ** 0.5)
    assert result["status"] == "complete" and "test error" in result["summary"]
    assert "gaussian kernels of pixels" in result["protocol"]
    if corruption == "none":
        assert p < 0.1 and result["wrong_labels"] == 0
    else:  # 0.9 of 300 labels are wrong, give or take four deviations; and at chance on others
        assert abs(result["wrong_labels"] - 0.9) < 4 * (0.09 / 300) ** 0.5
        assert abs(p - 0.9) < 0.1


@pytest.mark.slow
def test_random_labels_are_those_of_a_network(make, quick, tmp_path):
    """The same seed and images give the same wrong labels, whatever fits them."""
    ours = make(Kernel(**DIGITS, corruption="random_labels"), tmp_path / "kernel")
    theirs = quick(tmp_path / "mlp", corruption="random_labels", epochs=1)
    assert ours["wrong_labels"] == theirs["wrong_labels"]


def test_a_run_compares_gradient_descent(make, tmp_path):
    settings = Kernel(dataset="digits", train_examples=30, kernel="linear", gradient_steps=3000)
    result = make(settings, tmp_path / "run")
    assert result["descent_from_zero"] < 1e-3
    assert result["descent_residual_from_zero"] < 1e-3
    # Random weights in 2,352 dimensions lie outside of the span of 30 images but for 30 / 2,352.
    assert result["descent_from_random"] == pytest.approx((1 - 30 / 2352) ** 0.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("features_", ["gabor", "filters"])
def test_a_run_on_preprocessed_images(make, tmp_path, features_):
    kernel, filters = ("linear", 50) if features_ == "filters" else ("gaussian", None)
    settings = Kernel(
        dataset="digits", train_examples=100, features=features_, filters=filters, kernel=kernel
    )
    result = make(settings, tmp_path / "run")
    assert result["train_errors"] == 0 and result["test_error"] < 0.5


def test_more_images_than_linear_features_are_refused(make, tmp_path):
    """digits has 61 pixels that vary, each shown 27 times: the rank is found out by factoring."""
    with pytest.raises(ValueError, match="singular to rounding"):
        make(Kernel(dataset="digits", train_examples=200, kernel="linear"), tmp_path / "rank")
    with pytest.raises(ValueError, match=r"linear kernel of 16 features .* --train_examples=16"):
        make(
            Kernel(
                dataset="digits", train_examples=30, kernel="linear", features="filters", filters=2
            ),
            tmp_path / "filters",
        )
    settings = Kernel(dataset="digits", train_examples=200, kernel="linear", weight_decay=1e-3)
    assert make(settings, tmp_path / "ridge")["test_error"] < 0.3


def test_weight_decay_is_that_of_the_mean_loss(make, tmp_path, rng):
    """A mean of half the squared errors plus w / 2 |f|^2: the gradient at the solution vanishes."""
    train, targets = rng.normal(size=(40, 10)), rng.normal(size=(40, 2))
    square, _ = kernels.kernel_matrices([(train, train)], "linear", None)
    alpha = kernels.factor(square, ridge=40 * 0.1).solve(targets)
    weights = train.T @ alpha
    gradient = train.T @ (train @ weights - targets) / 40 + 0.1 * weights
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, wrong",
    [
        ({"gradient_steps": 5}, "--gradient_steps is for --kernel=linear"),
        ({"gradient_steps": 5, "kernel": "linear", "weight_decay": 0.1}, "without --weight_decay"),
        ({"gradient_steps": 5, "kernel": "linear", "features": "filters"}, "not filters"),
    ],
)
def test_what_cannot_go_together(changes, wrong):
    with pytest.raises(ValueError, match=wrong):
        settle(Kernel(**changes))


def test_what_does_not_matter_is_no_part_of_the_name():
    linear, _ = settle(Kernel(kernel="linear", gamma=3.0, filters=10, patch=5))
    assert linear == settle(Kernel(kernel="linear"))[0]
    assert settle(Kernel())[0].gamma == 0.02
    assert settle(Kernel(kernel="quartic"))[0].features == "normalized"
    assert settle(Kernel(features="filters"))[0].filters == 32_000


def test_a_stage_without_a_network_cannot_be_opened(make, tmp_path):
    from repro.randomization import experiment

    make(Kernel(dataset="digits", train_examples=20), tmp_path / "run")
    with pytest.raises(ValueError, match="left no network behind: --stage=kernel trains none"):
        experiment.open_run(tmp_path / "run")


@pytest.mark.parametrize("corruption", ["none", "random_labels"])
def test_a_run_says_which_images_are_equal(make, tmp_path, monkeypatch, corruption):
    """Six of 60 digits come twice; random labels of two equal images are hardly ever the same."""
    splits = datasets.splits

    def doubled(*arguments):
        train, test = splits(*arguments)
        images, labels = train.images.copy(), train.labels.copy()
        images[:6], labels[:6] = images[6:12], labels[6:12]
        return datasets.Images(images, labels, train.ids), test

    monkeypatch.setattr(interpolation.datasets, "splits", doubled)
    settings = Kernel(dataset="digits", train_examples=60, corruption=corruption)
    result = make(settings, tmp_path / "run")
    assert result["merged"] == 6 and "; 6 images are equal to others" in result["summary"]
    if corruption == "none":
        assert result["contradictory"] == 0 and "avoided" not in result["summary"]
    else:
        pairs = result["unavoidable_errors"]  # each pair of different labels has one
        assert pairs == result["train_errors"] > 0 and result["contradictory"] == 2 * pairs
        assert (
            f"{2 * pairs} have equals with other labels, so that {pairs} training errors cannot "
            "be avoided"
        ) in result["summary"]

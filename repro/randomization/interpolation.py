"""One row of Table 3: the minimum-norm function of a kernel that takes the labels (section 5).

Where this fills what the paper does not say:

* A class is coded by 1 and 0 in ten outputs. The norm of the ten functions is the root of the sum
  of their squared norms.
* Equal images make the kernel matrix singular. They are merged into one point, whose target is the
  mean of theirs: that is the pseudo-inverse's solution. Where their labels differ, as random ones
  do, no function has them all, and the result says how many errors cannot be avoided.
* A kernel matrix that is singular for another reason, such as more images than linear features, is
  an error, and so is one whose solution misses the labels by more than 0.001.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from repro.data import datasets
from repro.randomization import features, kernels
from repro.randomization.settings import Kernel
from repro.training.runs import Job

LARGEST_RESIDUAL = 1e-3  # of an interpolation, beyond which it is none
QUANTILES = (0.01, 0.1, 0.5, 0.9)


@dataclasses.dataclass(frozen=True)
class Points:
    """Training images without repetition, and what they are to be mapped to."""

    kept: np.ndarray  # positions of the images that stand for all, [points]
    targets: np.ndarray  # the mean of the one-hot labels of equal images, [points, classes]
    point_of: np.ndarray  # which point an image is, [n]
    contradictory: int  # images whose equals have other labels
    unavoidable: int  # errors that every function makes on the training images


def merge(rows: np.ndarray, labels: np.ndarray, classes: int) -> Points:
    """Merge equal rows [n, ...] into points."""
    seen: dict[bytes, int] = {}
    point_of = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])
    counts = np.zeros((len(seen), classes))
    np.add.at(counts, (point_of, labels), 1)
    sizes, most = counts.sum(1), counts.max(1)
    _, kept = np.unique(point_of, return_index=True)
    return Points(
        kept=kept,
        targets=counts / sizes[:, None],
        point_of=point_of,
        contradictory=int(sizes[most < sizes].sum()),
        unavoidable=int((sizes - most).sum()),
    )


def run(settings: Kernel, job: Job) -> dict:
    """Solve K alpha = y, measure the solution, and return the result of the run."""
    s = settings
    job.directory.begin(0)
    train, test = datasets.splits(
        s.dataset, job.data_dir, job.download, s.train_split, s.test_split, s.train_examples, s.seed
    )
    classes = datasets.DATASETS[s.dataset]
    labels = training_labels(s, train, classes)
    looked_at = features.plain(train.images, s.features) if s.features in features.PLAIN else None
    points = merge(train.images if looked_at is None else looked_at, labels, classes)

    # The kernel matrix and its solution; the matrix is factored in place.
    refuse_low_rank(s, len(points.kept), train.images)
    square, cross = kernels.kernel_matrices(
        chunks(s, train.images[points.kept], test.images), s.kernel, s.gamma
    )
    factored = kernels.factor(square, ridge=len(points.kept) * s.weight_decay)
    alpha = factored.solve(points.targets)
    fitted = factored.times(alpha)
    residual = float(np.abs(fitted - points.targets).max())
    smallest, largest = factored.extreme_eigenvalues(s.seed)
    if not s.weight_decay and not residual <= LARGEST_RESIDUAL:
        raise ValueError(
            f"the solution misses the labels by {residual:.1e}: with a condition number of "
            f"{largest / smallest:.1e} the kernel matrix is singular to rounding; use fewer "
            "training examples, a narrower kernel (a larger --gamma) or --weight_decay"
        )
    found = measured(
        fitted[points.point_of],
        labels,
        cross @ alpha,
        test.labels,
        kernels.rkhs_norm(factored, alpha),
    )
    if s.gradient_steps:
        flat = next(iter(chunks(s, train.images[points.kept], test.images)))[0]
        found |= compared(flat, points.targets, alpha, s.gradient_steps, smallest, largest, s.seed)
    return {
        "status": "complete",
        "summary": summary(found, smallest, largest, points),
        "protocol": protocol(s, len(train), len(test)),
        "train_examples": len(train),
        "test_examples": len(test),
        "points": len(points.kept),
        "merged": len(train) - len(points.kept),
        "contradictory": points.contradictory,
        "unavoidable_errors": points.unavoidable,
        "wrong_labels": float((labels != train.labels).mean()),
        "smallest_eigenvalue": smallest,
        "largest_eigenvalue": largest,
        "condition_number": largest / smallest,
        "largest_residual": residual,
        **found,
    }


def training_labels(s: Kernel, train: datasets.Images, classes: int) -> np.ndarray:
    """Return the labels that are fitted: those that a network of the other stage would see."""
    if s.corruption == "none":
        return train.labels
    from repro.data import corruption

    return corruption.corrupt(
        train.images, train.labels, s.corruption, 1.0, s.seed, classes, ids=train.ids
    )[1]


def chunks(s: Kernel, train: np.ndarray, test: np.ndarray) -> Iterable[features.Chunk]:
    """Return the features of images uint8 [n, H, W, C], in parts where there are many."""
    if s.features == "filters":
        return features.filters(train, test, s.filters, s.patch, s.filters_from, s.seed)
    if s.features == "gabor":
        return [features.gabor(train, test)]
    return [(features.plain(train, s.features), features.plain(test, s.features))]


def refuse_low_rank(s: Kernel, points: int, images: np.ndarray) -> None:
    """Raise ValueError where a linear kernel has fewer features than there are points."""
    if s.kernel != "linear" or s.weight_decay or s.features == "gabor":
        return
    width = 8 * s.filters if s.features == "filters" else int(np.prod(images.shape[1:]))
    if width < points:
        raise ValueError(
            f"the linear kernel of {width:,} features has no higher rank, so it cannot take "
            f"{points:,} labels: give --train_examples={width} or less, another --kernel, or "
            "--weight_decay"
        )


def measured(
    fitted: np.ndarray,
    labels: np.ndarray,
    outputs: np.ndarray,
    test_labels: np.ndarray,
    norm: float,
) -> dict:
    """Return errors, norm and margins.

    A margin is by how much the right output is the largest. It is 1 on all training images where
    the labels are taken exactly, so the paper's norm is the reciprocal of the normalised margin.
    """
    train_margins, test_margins = (
        kernels.margins(fitted, labels),
        kernels.margins(outputs, test_labels),
    )
    train_errors = int((fitted.argmax(1) != labels).sum())
    test_error = float((outputs.argmax(1) != test_labels).mean())
    return {
        "train_errors": train_errors,
        "train_accuracy": 1 - train_errors / len(labels),
        "test_error": test_error,
        "test_accuracy": 1 - test_error,
        "test_error_se": float(np.sqrt(test_error * (1 - test_error) / len(test_labels))),
        "rkhs_norm": norm,
        "train_margin": float(train_margins.min()),
        "normalized_margin": float(train_margins.min() / norm),
        "test_margin": float(test_margins.mean()),
        "test_margin_quantiles": dict(
            zip(map(str, QUANTILES), np.quantile(test_margins, QUANTILES).tolist(), strict=True)
        ),
    }


def compared(
    flat: np.ndarray,
    targets: np.ndarray,
    alpha: np.ndarray,
    steps: int,
    smallest: float,
    largest: float,
    seed: int,
) -> dict:
    """Return how far from the minimum-norm weights X' alpha gradient descent ends.

    From zero it should end there. From random weights of the same norm it should end as far off as
    those reach out of the span of the images, which no step changes.
    """
    best = flat.T @ alpha
    length = np.linalg.norm(best)
    random = np.random.default_rng([seed, 22]).normal(size=best.shape)
    random *= length / np.linalg.norm(random)
    found = {"gradient_steps": steps}
    for name, start in (("zero", np.zeros_like(best)), ("random", random)):
        weights = kernels.descend(flat, targets, start, steps, smallest, largest)
        found[f"descent_from_{name}"] = float(np.linalg.norm(weights - best) / length)
        found[f"descent_residual_from_{name}"] = float(np.abs(flat @ weights - targets).max())
    return found


def summary(found: dict, smallest: float, largest: float, points: Points) -> str:
    """Return the result in one line, which names equal images where there are any."""
    merged, equal = len(points.point_of) - len(points.kept), ""
    if merged:
        equal = f"; {merged:,} images are equal to others and were merged with them"
    if points.contradictory:
        equal += (
            f", {points.contradictory:,} have equals with other labels, so that "
            f"{points.unavoidable:,} training errors cannot be avoided"
        )
    return (
        f"test error {100 * found['test_error']:.2f} ± {100 * found['test_error_se']:.2f} %, "
        f"{found['train_errors']} training errors, norm {found['rkhs_norm']:.4g}, "
        f"condition number {largest / smallest:.1e}{equal}"
    )


def protocol(s: Kernel, train_examples: int, test_examples: int) -> str:
    """Return in one line what was done; runs of one figure differ in its words alone."""
    decay = f"weight decay {s.weight_decay:g}" if s.weight_decay else "interpolating"
    return (
        f"{s.kernel} kernels of {s.features}, {s.dataset}, {train_examples:,} training and "
        f"{test_examples:,} test images, {s.corruption.replace('none', 'true_labels')}, {decay}, "
        f"float64, seed {s.seed}"
    )

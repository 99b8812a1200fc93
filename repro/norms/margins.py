"""Margins: by how much the logit of the true class exceeds the best of the others."""

import keras
import numpy as np

BATCH = 256  # images whose logits are computed at once
QUANTILES = {"lowest": 0.0, "quantile_05": 0.05, "median": 0.5}


def margins(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return mean and quantiles of the margins, and the share that is positive.

    Args:
      logits: [n, k].
      labels: int [n].

    Returns:
      mean, lowest, quantile_05 (what Neyshabur's code divides by), median, and `positive`, the
      accuracy with ties counted as errors. All are NaN where a margin is, as with logits that are
      not numbers.

    Raises:
      ValueError: logits are not [n, k] with two classes or more, or labels not n of those classes.
    """
    logits, labels = np.array(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] < 2 or not len(logits):
        raise ValueError(f"logits must be [n, k] with k of 2 or more, not {list(logits.shape)}")
    if labels.shape != logits.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels must be integers [{len(logits)}], one an example, not {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(f"labels must lie in 0..{logits.shape[1] - 1}, as there are logits")
    rows = np.arange(len(labels))
    true = logits[rows, labels]
    logits[rows, labels] = -np.inf
    values = true - logits.max(axis=1)
    quantiles = {name: float(np.quantile(values, q)) for name, q in QUANTILES.items()}
    right = np.where(np.isnan(values), np.nan, values > 0)  # no share of what is not known
    return {"mean": float(values.mean()), **quantiles, "positive": float(right.mean())}


def logits_on(model: keras.Model, images) -> np.ndarray:
    """Return a network's logits in inference mode, [n, k], for images [n, H, W, C].

    Raises:
      ValueError: there are no images.
    """
    if not len(images):
        raise ValueError("there are no images to compute logits of")
    starts = range(0, len(images), BATCH)
    return np.concatenate([model(images[i : i + BATCH], training=False) for i in starts])

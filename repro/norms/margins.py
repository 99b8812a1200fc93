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
      accuracy with ties counted as errors.
    """
    logits, rows = np.array(logits, np.float64), np.arange(len(labels))
    true = logits[rows, labels]
    logits[rows, labels] = -np.inf
    values = true - logits.max(axis=1)
    quantiles = {name: float(np.quantile(values, q)) for name, q in QUANTILES.items()}
    return {"mean": float(values.mean()), **quantiles, "positive": float((values > 0).mean())}


def logits_on(model: keras.Model, images) -> np.ndarray:
    """Return a network's logits in inference mode, [n, k], for images [n, H, W, C]."""
    starts = range(0, len(images), BATCH)
    return np.concatenate([model(images[i : i + BATCH], training=False) for i in starts])

"""Margins: by how much the logit of the true class exceeds the best of the others."""

import numpy as np

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

"""Drawing the spectral density of a matrix, such as a Hessian."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

BELOW = 1e-8  # what is drawn, as a share of the highest density


def spectrum(nodes: np.ndarray, weights: np.ndarray) -> plt.Figure:
    """Draw a spectral density on a logarithmic axis; return the figure.

    Every node is drawn as a Gaussian of 1 / steps of the spectrum's width.

    Args:
      nodes: [probes, steps], where the masses of each probe's quadrature are.
      weights: [probes, steps], how large; those of a probe add up to 1.
    """
    low, high = nodes.min(), nodes.max()
    sigma = max((high - low) / nodes.shape[1], 1e-12)
    grid = np.linspace(low - 4 * sigma, high + 4 * sigma, 1000)
    bumps = np.exp(-0.5 * ((grid[:, None, None] - nodes) / sigma) ** 2)
    density = (weights * bumps).sum(-1).mean(-1) / (sigma * np.sqrt(2 * np.pi))
    figure, axes = plt.subplots(figsize=(3.25, 2.4))
    axes.semilogy(grid, np.maximum(density, 1e-12))
    axes.set(xlabel="eigenvalue of the Hessian", ylabel="density")
    axes.set_ylim(bottom=max(density.max() * BELOW, 1e-10))
    return figure

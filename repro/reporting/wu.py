"""Figures of Wu, Ma, E 2018, ours beside the published numbers."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

STYLE = Path(__file__).parent / "paper.mplstyle"


def draw_spectrum(nodes: np.ndarray, weights: np.ndarray, directory: Path) -> list[Path]:
    """Draw the spectral density of a Hessian from quadratures [probes, steps]; return the files.

    Each eigenvalue is a Gaussian of 1 / steps of the spectrum's width.
    """
    low, high = nodes.min(), nodes.max()
    sigma = max((high - low) / nodes.shape[1], 1e-12)
    grid = np.linspace(low - 4 * sigma, high + 4 * sigma, 1000)
    bumps = np.exp(-0.5 * ((grid[:, None, None] - nodes) / sigma) ** 2)
    density = (weights * bumps).sum(-1).mean(-1) / (sigma * np.sqrt(2 * np.pi))
    with plt.style.context(STYLE):
        figure, axes = plt.subplots(figsize=(3.25, 2.4))
        axes.semilogy(grid, np.maximum(density, 1e-12))
        axes.set(xlabel="eigenvalue of the Hessian", ylabel="density")
        axes.set_ylim(bottom=max(density.max() * 1e-8, 1e-10))
        files = [directory / f"spectrum.{kind}" for kind in ("png", "pdf")]
        for file in files:
            figure.savefig(file)
        plt.close(figure)
    return files

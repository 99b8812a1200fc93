"""Figures, tables, claims, statistics and the report, from run directories: never TensorFlow."""

from repro.reporting.rows import frame

__all__ = ["frame"]

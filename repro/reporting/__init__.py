"""Figures, tables, claims and the report, from run directories: NumPy and matplotlib only."""

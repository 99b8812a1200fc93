"""All figures of Gotmare et al. 2018, and of what is beyond it: name -> function of runs."""

from repro.mode_connectivity import curve_figures, landscape_figures, plane_figures

FIGURES = {**curve_figures.FIGURES, **plane_figures.FIGURES, **landscape_figures.FIGURES}
WITHOUT_DIVERGED = False  # a mode that diverges is a finding, and its curve says nothing

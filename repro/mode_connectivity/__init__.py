"""Gotmare, Keskar, Xiong, Socher (2018), with Garipov et al. (2018): curves between networks.

    python -m repro.mode_connectivity --from=G --to=A

trains modes G and A and a curve between them where they are missing, and measures the loss along
the curve and along the segment of its ends. README.md tells the rest, experiment.py the stages.
"""

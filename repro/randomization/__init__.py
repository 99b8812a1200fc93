"""Zhang, Bengio, Hardt, Recht, Vinyals (ICLR 2017): networks fit random labels and random pixels.

    python -m repro.randomization --model=inception --corrupt_prob=0.4

settings.py says what can be asked, experiment.py does it, figures.py, tables.py and claims/ look at
what came of it. Figures 1a-c, 2a-b and Tables 1, 4 are grids of such runs, configs/randomization/.
"""

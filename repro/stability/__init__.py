"""Wu, Ma, E (NeurIPS 2018): how SGD selects the global minima, a dynamical stability view.

    python -m repro.stability --model=fnn --dataset=fashion_mnist --learning_rate=0.1
    python -m repro.stability --stage=escape --start_learning_rate=0.5 --learning_rate=0.5
    python -m repro.stability --stage=toy

settings.py says what can be asked, experiment.py does it, figures.py, tables.py and claims/ look at
what came of it. The README.md beside this file says what was found.
"""

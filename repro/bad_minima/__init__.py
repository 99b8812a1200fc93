"""Liu, Papailiopoulos, Achlioptas (NeurIPS 2020): bad global minima exist and SGD can reach them.

    python -m repro.bad_minima --init=adversarial --augment --weight_decay=5e-4 --momentum=0.9

settings.py says what can be asked in the stages train, pretrain and toy, experiment.py does it,
figures.py, tables.py and claims/ look at what came of it. README.md is the paper's page.
"""

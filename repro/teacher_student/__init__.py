"""Simsek et al. (ICML 2021) and its rerun on EPFL slides: where do students of a teacher end?

    python -m repro.teacher_student --hidden=5 --num_students=1000
    python -m repro.teacher_student.verify outputs/teacher_student/RUN/certificates.json

settings.py says what can be asked, experiment.py does it, by repro.critical; figures.py, tables.py
and claims/ look at what came of it.
"""

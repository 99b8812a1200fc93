from repro.launch import launch
from repro.teacher_student.settings import STAGES

launch(STAGES)

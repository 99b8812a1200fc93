from repro.teacher_student.settings import STAGES
from repro.launch import launch

launch(STAGES)

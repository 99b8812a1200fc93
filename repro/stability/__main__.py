from repro.launch import launch
from repro.stability.settings import STAGES

launch(STAGES)

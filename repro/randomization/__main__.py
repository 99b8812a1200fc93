from repro.launch import launch
from repro.randomization.settings import STAGES

launch(STAGES)

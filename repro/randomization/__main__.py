from repro.randomization.settings import STAGES
from repro.launch import launch

launch(STAGES)

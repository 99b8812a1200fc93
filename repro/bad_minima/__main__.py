from repro.bad_minima.settings import STAGES
from repro.launch import launch

launch(STAGES)

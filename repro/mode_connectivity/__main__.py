from repro.launch import launch
from repro.mode_connectivity.settings import STAGES

launch(STAGES)

from repro.mode_connectivity.settings import STAGES
from repro.launch import launch

launch(STAGES)

from repro.stability.settings import STAGES
from repro.launch import launch

launch(STAGES)

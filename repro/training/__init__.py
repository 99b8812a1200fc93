"""What runs share that train with SGD: strategy, step, loop, schedules, checkpoints, run directory."""

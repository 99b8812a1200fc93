"""What runs that train with SGD share: strategy, step, loop, schedules, checkpoints, runs."""

"""Training: optimizers, schedules, the loop, its callbacks and its reports."""

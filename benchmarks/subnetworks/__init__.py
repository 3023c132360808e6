"""What a training step over all sub-networks costs, beside its parts."""

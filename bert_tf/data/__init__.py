"""Tasks, metrics, tokenised features and the order in which a run sees them."""

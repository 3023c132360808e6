"""Structured pruning of dense kernels for any tf_keras model (it knows nothing of BERT)."""

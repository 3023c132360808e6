"""Pre-training against tf-models-official, and on data of growing size."""

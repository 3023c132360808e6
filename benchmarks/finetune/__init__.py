"""Fine-tuning against tf-models-official."""

"""Distillation: a student learns from a fine-tuned teacher, beside its labels."""

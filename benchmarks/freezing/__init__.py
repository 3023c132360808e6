"""Freezing against full fine-tuning."""

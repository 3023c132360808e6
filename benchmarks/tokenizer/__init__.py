"""The tokenizer against plain Python."""

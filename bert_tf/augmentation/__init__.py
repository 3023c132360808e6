"""Variants of training rows: words replaced by what a masked language model or embeddings say."""

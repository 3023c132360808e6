"""Data sets by name: Hugging Face `datasets`, tensorflow-datasets, and CSV, JSON, Parquet files."""

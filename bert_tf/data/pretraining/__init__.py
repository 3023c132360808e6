"""Pre-training data: raw text to packed rows or Google's TFRecords, and batches out of either."""

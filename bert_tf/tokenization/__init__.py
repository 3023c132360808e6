"""Text to word pieces, exactly as Google's BERT does it.

`vocab` reads vocab.txt and needs no TensorFlow; `tokenizer` runs in the TensorFlow graph.
"""

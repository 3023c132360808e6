"""`python -m bert_tf.serving`: predictions of an exported model for lines of text."""

import sys

from bert_tf.serving.program import cli_main

if __name__ == "__main__":
    sys.exit(cli_main())

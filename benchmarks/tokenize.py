"""Measures the tokenizer against plain Python: see tokenizer_speed.py, which holds the program.

    python benchmarks/tokenize.py --vocab_file=vocab.txt --data_file=SST-2/train.tsv

This file does nothing but start it, because it shares its name with a module of Python.
"""

import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))
# A script of this folder has the folder in its search path, where this file hides Python's module.
sys.path[:] = [os.path.dirname(_FOLDER) if p == _FOLDER else p for p in sys.path]

if __name__ == "tokenize":  # some script's import, which wants Python's module: hand that over
    del sys.modules["tokenize"]
    import tokenize  # noqa: F401
elif __name__ == "__main__":
    from absl import app, flags

    from benchmarks import tokenizer_speed

    flags.adopt_module_key_flags(tokenizer_speed)  # for --help
    app.run(tokenizer_speed.main)

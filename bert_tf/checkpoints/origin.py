"""What a model that was made of another one was made by: a small file in its folder."""

import pathlib

from bert_tf import files, machine
from bert_tf.checkpoints.forms import ORIGIN_FILE
from bert_tf.options import command_line


def write(folder, program, options, model):
    """Writes the file.

    Args:
      folder: of the model that was made.
      program: the script that made it, such as `factorize.py`.
      options: its options, with a field `given`.
      model: folder or checkpoint of the model that it was made of.

    Raises:
      UserError: it cannot be written.
    """
    command = command_line(program, options, vars(options), options.given)
    found = {"command": command, "model": str(model), "environment": machine.describe()}
    files.write_json(pathlib.Path(folder) / ORIGIN_FILE, found)

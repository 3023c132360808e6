"""The training that a model comes from, also where another program has made it of another model."""

import os
import pathlib

from bert_tf import files
from bert_tf.errors import UserError
from bert_tf.report.entry import mapping, text

RESULTS, ORIGIN = "results.json", "origin.json"
_MOST_STEPS = 20  # from a model to its training
_ELASTIC = {"training_phase", "width_mult_list", "depth_mult_list"}


def quietly(path):
    """Returns the JSON object of a file, empty where there is none that can be read."""
    try:
        return files.read_json(path, "file") if os.path.isfile(path) else {}
    except UserError:
        return {}


def folder_of(model):
    """Returns the folder of what a flag names: a folder, or a checkpoint's prefix in one."""
    path = pathlib.Path(model)
    is_prefix = not path.is_dir() and os.path.isfile(f"{path}.index")
    return path.parent if is_prefix else path


def training(folder):
    """Returns the results.json of the training that the model in a folder comes from, else {}.

    Of a model that was made of another one, as its origin.json says, it is the other's, without
    what was true of that one only: its size, that it had masks, or was elastic.
    """
    place = folder
    for _ in range(_MOST_STEPS):
        if found := quietly(place / RESULTS):
            return found if place == folder else _of_another(found)
        before = text(quietly(place / ORIGIN).get("model"))
        if not before:
            break
        place = folder_of(before)
    return {}


def _of_another(results):
    options = mapping(results.get("options"))
    options = {name: value for name, value in options.items() if name not in _ELASTIC}
    return {**results, "options": options, "levers": None, "parameters": None}


def flags_of(state):
    """Returns the flags of a training as its training_state.json has them."""
    identity = mapping(state.get("identity"))
    taught = {"teacher_model_dir": "a teacher"} if identity.get("teacher's weights") else {}
    return {**identity, **taught}


def lever_flags(options):
    """Returns the flags by which a lever shows: an evaluation repeats defaults of the others."""
    empty = (None, False, 0, "off", "finetuning", "1.", "static")
    return {name: x for name, x in options.items() if x not in empty}

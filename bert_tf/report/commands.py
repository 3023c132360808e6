"""The command of a run: as it was recorded, else rebuilt from the flags that were."""

from bert_tf.classification.options import ClassifierOptions
from bert_tf.options import command_line, option_fields
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.report.entry import mapping, text
from bert_tf.spans.options import SpanOptions
from bert_tf.tagging.options import TaggerOptions

_PROGRAMS = {
    "run_classifier.py": ClassifierOptions,
    "run_tagger.py": TaggerOptions,
    "run_squad.py": SpanOptions,
    "run_pretraining.py": PretrainingOptions,
}


def of(results):
    """Returns (command or None, whether it is rebuilt) of what results.json says."""
    recorded = text(results.get("command"))
    if recorded:
        return recorded, False
    options = mapping(results.get("options"))
    if not options:
        return None, False
    program = max(_PROGRAMS, key=lambda name: _likeness(_PROGRAMS[name], options))
    return command_line(program, _PROGRAMS[program], options), True


def _likeness(cls, options):
    """How well recorded flags, those of the default too, are those of an options class."""
    own = {field.name for field in option_fields(cls)}
    return len(own & options.keys()) - len(options.keys() - own), -len(own)

"""The command of a run: as it was recorded, else rebuilt from the flags that were."""

from bert_tf.classification.options import ClassifierOptions
from bert_tf.options import command_line
from bert_tf.pretraining.options import PretrainingOptions
from bert_tf.report.entry import mapping, text


def of(results):
    """Returns (command or None, whether it is rebuilt) of what results.json says."""
    recorded = text(results.get("command"))
    if recorded:
        return recorded, False
    options = mapping(results.get("options"))
    if not options:
        return None, False
    if "task" in results:
        return command_line("run_classifier.py", ClassifierOptions, options), True
    return command_line("run_pretraining.py", PretrainingOptions, options), True

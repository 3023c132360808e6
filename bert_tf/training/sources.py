"""Where a run's model comes from: the flags, or what the output folder already holds."""

import dataclasses
import pathlib

from absl import logging

from bert_tf import files
from bert_tf.checkpoints import forms, mask_scores
from bert_tf.checkpoints.model_folder import CHECKPOINT, LoadedModel, load_model
from bert_tf.config import BertConfig
from bert_tf.data.features import fingerprint
from bert_tf.errors import UserError
from bert_tf.training.best import EVALUATION_FILE
from bert_tf.training.state import STATE_FILE


def check_output_dir(options, output_dir, leftovers=()):
    """Refuses to train where another model lies, whose files the run would replace or leave.

    What a run of this folder has left is its own, and so is a configuration or vocabulary that a
    flag names.

    Args:
      options: of a program that may train.
      output_dir: `pathlib.Path`.
      leftovers: more names in output_dir that a new run would not make its own.

    Raises:
      UserError: naming what was found.
    """
    if not options.do_train:
        return
    given = options.model_dir or options.init_checkpoint
    if given:
        files.refuse_same_folder("output_dir", output_dir, given)
    weights = forms.checkpoint_files()
    names = [*forms.HUGGINGFACE_FILES, mask_scores.FILE, "checkpoint"]
    names += [f.name for f in sorted(output_dir.glob("*.index")) if f.name not in weights]
    if not (output_dir / STATE_FILE).exists():
        named = [options.bert_config_file, options.vocab_file]
        named = {pathlib.Path(file).resolve() for file in named if file}
        own = [forms.CONFIG_FILE, forms.VOCAB_FILE, forms.TASK_FILE, *weights, *leftovers]
        if not (output_dir / "best" / EVALUATION_FILE).exists():
            own.append("best")  # else of a run killed before its first state, which begins anew
        names += [name for name in own if (output_dir / name).resolve() not in named]
    forms.check_no_other_form(output_dir, names)


def load(options, output_dir):
    """Returns the `LoadedModel` to start from, with the dropout that is asked for.

    Without training, a model that an earlier run left in output_dir wins over the flags (as a
    checkpoint there does in Google's program); `arrays` is None for a random initialisation.

    Raises:
      UserError: a file is missing, damaged, or does not fit the others.
    """
    return with_dropout(options, _load(options, output_dir))


def with_dropout(options, model):
    """Returns the `LoadedModel` with the rates of dropout that `options` give."""
    config = model.config.with_dropout(
        options.hidden_dropout_prob, options.attention_probs_dropout_prob
    )
    return dataclasses.replace(model, config=config)


def _load(options, output_dir):
    if not options.do_train and (output_dir / f"{CHECKPOINT}.index").exists():
        logging.info("using the fine-tuned model in %s", output_dir)
        return load_model(output_dir)
    given = options.model_dir or options.init_checkpoint
    if given:
        return load_model(
            given,
            config_file=options.bert_config_file,
            vocab_file=options.vocab_file,
        )
    if not options.do_train:
        raise UserError("give --model_dir, --init_checkpoint or --do_train: there are no weights")
    config = BertConfig.from_json_file(options.bert_config_file)
    logging.warning("no --init_checkpoint: the model starts from random weights")
    return LoadedModel(
        config=config,
        arrays=None,
        vocab_file=pathlib.Path(options.vocab_file),
        task=None,
        do_lower_case=config.extra.get("do_lower_case"),
        source=options.bert_config_file,
        path=options.bert_config_file,
    )


def digest(arrays):
    """Tells one set of weights from another; None for random ones."""
    if arrays is None:
        return None
    return fingerprint(*(part for name in sorted(arrays) for part in (name, arrays[name])))

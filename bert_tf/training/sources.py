"""Where a run's model comes from: the flags, or what the output folder already holds."""

import pathlib

from absl import logging

from bert_tf.checkpoints.model_folder import CHECKPOINT, LoadedModel, load_model
from bert_tf.config import BertConfig
from bert_tf.errors import UserError


def load(options, output_dir):
    """Returns the `LoadedModel` to start from.

    Without training, a model that an earlier run left in output_dir wins over the flags (as a
    checkpoint there does in Google's program); `arrays` is None for a random initialisation.

    Raises:
      UserError: a file is missing, damaged, or does not fit the others.
    """
    if not options.do_train and (output_dir / f"{CHECKPOINT}.index").exists():
        logging.info("using the fine-tuned model in %s", output_dir)
        return load_model(output_dir)
    given = options.model_dir or options.init_checkpoint
    if options.do_train and given and _same_folder(given, output_dir):
        raise UserError(
            f"--output_dir={output_dir}: holds the model to start from ({given}), which training"
            " would overwrite: give another folder"
        )
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


def _same_folder(model, output_dir):
    """Whether `model`, a folder or a checkpoint's prefix, lies in output_dir itself."""
    model = pathlib.Path(model)
    return (model if model.is_dir() else model.parent).resolve() == output_dir.resolve()

"""Converts a BERT checkpoint between Google's, Hugging Face's and tf-models-official's formats.

The kind of the input is recognised. What comes out is complete: weights, configuration and, when
known, vocabulary and task. A table says what was converted and what was left.

Hugging Face folder to model folder (what every program here reads):
  convert_checkpoint.py --input=all-MiniLM-L6-v2 --output=minilm
Google's download to Hugging Face folder:
  convert_checkpoint.py --input=uncased_L-12_H-768_A-12 --output=hf --output_format=huggingface
tf-models-official checkpoint to model folder:
  convert_checkpoint.py --input=run/ckpt-1000 --bert_config_file=bert_config.json --output=model
"""

import dataclasses
import sys

from bert_tf import cli, files
from bert_tf.checkpoints.options import model_flag, one_spelling
from bert_tf.options import check_table, option


@dataclasses.dataclass(kw_only=True)
class Options:
    """What to convert, and to what."""

    GROUPS = ("Input", "Output")

    model: str | None = model_flag("Input", "input")
    input: str | None = option(
        None,
        "What to convert: a model folder, Google's downloaded folder, a Hugging Face folder of a"
        " BERT, DistilBERT or ELECTRA, the id of one in the hub's cache, or the prefix of a Google"
        " or tf-models-official checkpoint. Required.",
        "Input",
        required="what to convert",
    )
    bert_config_file: str | None = option(
        None,
        "The input's bert_config.json, when it is not beside the checkpoint. A tf-models-official"
        " checkpoint without one has its shape inferred and Google's gelu assumed.",
        "Input",
    )
    vocab_file: str | None = option(
        None, "The input's vocab.txt, when it is not beside the checkpoint.", "Input"
    )
    output: str | None = option(
        None,
        "Folder to write: new, empty, or an earlier output in the same format, which is replaced."
        " Required.",
        "Output",
        required="the folder to write",
    )
    output_format: str = option(
        "google",
        "google: a model folder (bert_config.json, vocab.txt, bert_model.ckpt.*), which every"
        " program here reads. huggingface: config.json, model.safetensors, vocab.txt,"
        " tokenizer_config.json. tf_models: a model folder whose checkpoint is object-based, as"
        " tf-models-official's BertEncoderV2, BertClassifier and BertPretrainerV2 restore it.",
        "Output",
        choices=("google", "huggingface", "tf_models"),
    )
    given: frozenset = frozenset()

    def __post_init__(self):
        one_spelling(self, "input")


def main(options):
    """Reads `options.input`, writes `options.output`, prints what became of the weights."""
    check_table(options)
    files.refuse_same_folder("output", options.output, options.input)

    from bert_tf.checkpoints import convert, model_folder

    convert.check_output(options.output, options.output_format)
    model = model_folder.load_model(options.input, options.bert_config_file, options.vocab_file)
    files.make_output_dir(options.output, "output")
    print(convert.convert(model, options.output, options.output_format).table())
    if model.vocab_file is None:
        print("No vocabulary: there is no vocab.txt beside the input; --vocab_file names one.")


def cli_main():
    """Entry point of the installed command."""
    cli.run(Options, main, __doc__)


if __name__ == "__main__":
    sys.exit(cli_main())

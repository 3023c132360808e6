"""The model of a pre-training run: where its shape and weights come from, and its optimizer."""

from absl import logging

from bert_tf.checkpoints.model_folder import CHECKPOINT, LoadedModel
from bert_tf.config import BertConfig
from bert_tf.encoder import kernels
from bert_tf.errors import UserError
from bert_tf.options import option_fields
from bert_tf.pretraining.data import GoogleRows, PackedRows
from bert_tf.pretraining.model import MaskedLanguageModel
from bert_tf.pretraining.shape import ShapeOptions
from bert_tf.tokenization.vocab import check_vocab_size, load_vocab
from bert_tf.training import sources
from bert_tf.training.optimization import make_optimizer


def load_inputs(options, output_dir):
    """Returns (`LoadedModel` to start from, `PackedRows` or `GoogleRows`), checked to fit.

    Raises:
      UserError: a file is missing or damaged, or model, vocabulary and rows do not fit together.
    """
    if options.data_dir:
        data = PackedRows(options)
        source = _source(options, output_dir, data.vocab_size)
    else:
        source = _source(options, output_dir, _google_vocab_size(options))
        data = GoogleRows(options, source.config.vocab_size)
    data.check_vocabulary(source)
    config = source.config
    if data.vocab_size != config.vocab_size:
        raise UserError(
            f"{source.source}: vocab_size {config.vocab_size}, the rows were made with"
            f" {data.vocab_size} tokens"
        )
    if data.seq_length > config.max_position_embeddings:
        raise UserError(
            f"{source.source}: max_position_embeddings {config.max_position_embeddings}, the rows"
            f" have {data.seq_length} tokens"
        )
    if kernels.factorized_ranks(config, source.arrays):
        raise UserError(
            f"{source.source}: is factorised: pre-train the dense model, then run factorize.py"
        )
    return source, data


def build(options, source, data):
    """Returns the `MaskedLanguageModel` with the weights of `source` (call it in the scope)."""
    model = MaskedLanguageModel(source.config, data.next_sentence, options.seed)
    if source.arrays is None:
        logging.info("the model starts from random weights")
        if options.output_bias == "frequencies" and options.data_dir:
            model.set_output_bias(data.log_frequencies())
    else:
        report = model.load(source.arrays, source.source, source.left, source.remarks)
        logging.info("\n%s", report.table())
        if not options.do_train:
            _require_heads(source, data, report)
    return model


def _require_heads(source, data, report):
    """Refuses to evaluate weights that are at their random beginning."""
    used = [n for n in report.initialized if data.next_sentence or not n.startswith("bert/pooler/")]
    if used:
        why = next((r for r in source.left.values() if r.startswith("masked-LM head")), None)
        raise UserError(
            f"{source.source}: holds no {used[0]}{f' ({why})' if why else ''}, which --do_eval"
            " needs: give a pre-trained model with its masked-LM head, or --do_train"
        )


def compile_model(options, model):
    """Compiles `model`; the rate is a variable, set before each update."""
    optimizer = make_optimizer(
        options.optimizer,
        options.learning_rate,
        weight_decay=options.weight_decay,
        epsilon=options.adam_epsilon,
        beta_1=options.adam_beta1,
        beta_2=options.adam_beta2,
        bias_correction=options.adam_bias_correction,
        precision=options.precision,
    )
    model.compile(
        optimizer=optimizer,
        clip_norm=options.clip_norm or None,
        accumulation_steps=options.gradient_accumulation_steps,
        jit_compile=options.xla,
    )
    model.create_slots()  # the first update would, and be traced twice for it


def new_config(options, vocab_size, **shape):
    """Returns the `BertConfig` of the shape flags; `shape` overrides them."""
    values = {f.name: getattr(options, f.name) for f in option_fields(ShapeOptions)} | shape
    hidden = values["hidden_size"]
    values["num_attention_heads"] = values["num_attention_heads"] or max(1, hidden // 64)
    wide = 8 * round(hidden / 3) if values["gated_ffn"] else 4 * hidden  # as many parameters
    values["intermediate_size"] = values["intermediate_size"] or wide
    return BertConfig(vocab_size=vocab_size, type_vocab_size=2, **values)


def _source(options, output_dir, vocab_size):
    finished = not options.do_train and (output_dir / f"{CHECKPOINT}.index").exists()
    if options.model_dir or options.init_checkpoint or finished:
        return sources.load(options, output_dir)
    if not options.do_train:
        raise UserError(
            f"--do_eval: there is no model in --output_dir={output_dir}: give --model_dir or"
            " --init_checkpoint"
        )
    if options.bert_config_file:
        config, name = BertConfig.from_json_file(options.bert_config_file), options.bert_config_file
    else:
        config, name = new_config(options, vocab_size), "the model of the shape flags"
    source = LoadedModel(config, None, name, vocab_file=options.vocab_file)
    if options.vocab_file:
        check_vocab_size(load_vocab(options.vocab_file), config, name)
    return sources.with_dropout(options, source)


def _google_vocab_size(options):
    return len(load_vocab(options.vocab_file)) if options.vocab_file else None

"""What create_pretraining_data.py does, as its options say."""

import os

import tensorflow as tf
from absl import logging

from bert_tf import files
from bert_tf.checkpoints.case import check_case
from bert_tf.checkpoints.model_folder import load_model
from bert_tf.checkpoints.model_tokenizer import tokenizer_of
from bert_tf.data.pretraining.build import build_corpus, check_output_dir
from bert_tf.data.pretraining.google_instances import (
    GoogleRecipe,
    InstanceMaker,
    read_documents,
    to_example,
    warn_of_pairs,
)
from bert_tf.data.pretraining.google_records import serialize, write_records
from bert_tf.data.pretraining.text import TextReader, find_files
from bert_tf.data.pretraining.vocabulary import learn_vocab
from bert_tf.data.table import counted
from bert_tf.tokenization.tokenizer import BertTokenizer
from bert_tf.tokenization.vocab import load_vocab


def run(options):
    """Writes the data that `options` (`PretrainingDataOptions`) describe; returns a summary (str).

    Raises:
      UserError: anything wrong with flags, text, vocabulary or output.
    """
    options.check()
    tf.config.set_visible_devices([], "GPU")  # there is nothing to do for one
    input_files = find_files(options.input_file)
    if options.output_format == "packed":
        check_output_dir(options.output_dir, options.overwrite)  # before a vocabulary is learned
    tokenizer = _tokenizer(options, input_files)
    if options.output_format == "google":
        return _write_google(options, input_files, tokenizer)
    return _write_packed(options, input_files, tokenizer)


def _tokenizer(options, input_files):
    lower_case = options.do_lower_case
    if options.learn_vocab:
        lower_case = lower_case is not False
        vocab = learn_vocab(
            input_files,
            options.vocab_size,
            do_lower_case=lower_case,
            input_format=options.input_format,
            sample_mb=options.vocab_sample_mb,
            seed=options.random_seed,
        )
        return BertTokenizer(vocab, lower_case)
    if options.model_dir:
        return tokenizer_of(load_model(options.model_dir), lower_case)
    vocab = load_vocab(options.vocab_file)
    lower_case = check_case(options.vocab_file, lower_case, tokens=vocab.tokens)
    return BertTokenizer(vocab, lower_case)


def _write_packed(options, input_files, tokenizer):
    manifest = build_corpus(
        input_files,
        options.output_dir,
        tokenizer,
        input_format=options.input_format,
        seq_length=options.max_seq_length,
        num_shards=options.num_shards,
        validation_fraction=options.validation_fraction,
        seed=options.random_seed,
        num_workers=options.num_workers or len(os.sched_getaffinity(0)),
        overwrite=options.overwrite,
    )
    train, validation = manifest["splits"]["train"], manifest["splits"]["validation"]
    return (
        f"{counted(manifest['documents'], 'document', 'documents')},"
        f" {counted(manifest['tokens'], 'token', 'tokens')} of a vocabulary of"
        f" {manifest['vocab_size']:,}, unigram entropy {manifest['unigram_entropy']:.4f} nats\n"
        f"{train['rows']:,} training rows of {manifest['sequence_length']} tokens in"
        f" {len(train['shards'])} shards, {validation['rows']:,} validation rows from"
        f" {validation['documents']:,} documents\n"
        f"Written to {options.output_dir}"
    )


def _write_google(options, input_files, tokenizer):
    names = GoogleRecipe.__dataclass_fields__
    recipe = GoogleRecipe(**{name: getattr(options, name) for name in names})
    paths = [path.strip() for path in options.output_file.split(",")]
    for path in paths:  # before an hour of work
        files.make_output_dir(os.path.dirname(os.path.abspath(path)), "output_file")
    # A file without blank lines is one document there, not one per line.
    reader = TextReader(input_files, options.input_format, plain="blank_lines")
    try:
        documents = read_documents(reader.lines(), tokenizer)
    finally:
        reader.report()  # an empty corpus may be one that was read in a wrong format
    warn_of_pairs(documents)
    logging.info("%s: making instances", counted(len(documents), "document", "documents"))
    maker = InstanceMaker(documents, tokenizer.vocab, recipe)
    records = maker.instances(lambda instance: serialize(to_example(instance, recipe)))
    write_records(records, paths)
    return (
        f"{counted(len(records), 'example', 'examples')} of"
        f" {counted(len(documents), 'document', 'documents')}\nWritten to {', '.join(paths)}"
    )

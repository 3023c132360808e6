"""Options of training by epochs, and those of run_classifier.py (no TensorFlow)."""

import dataclasses
import typing

from bert_tf.errors import UserError
from bert_tf.options import option, require
from bert_tf.training import freezing_options, pruning_options
from bert_tf.training.run_options import BATCH, RUN, SPEED, TRAIN, RunOptions

CUSTOM_FLAGS = frozenset(
    {
        "train_file",
        "dev_file",
        "test_file",
        "text_column",
        "text_pair_column",
        "label_column",
        "id_column",
        "labels",
        "regression",
    }
)

_MODEL = "Model"
_DATA = "Task and data"
_WORK = "What to do"


@dataclasses.dataclass(kw_only=True)
class TrainingOptions(RunOptions):
    """Options of a training by epochs; names and defaults are Google BERT's where it has them."""

    timestamped_output_dir: bool = option(
        False, "Write to a dated child of output_dir instead (the pruning original's way).", RUN
    )
    save_checkpoints_steps: int = option(
        1000, "Updates between checkpoints; with do_eval each one is evaluated.", RUN
    )
    learning_rate: float = option(
        5e-5, "Peak learning rate; 0 trains masks alone, the weights stay.", TRAIN
    )
    lr_schedule: str = option(
        "linear",
        "Learning rate after the warm-up: linear to zero, constant, noam (inverse square root), or"
        " stepped: AutoFreeze's, 1, 0.7 and 0.4 of the rate from 0, 30 and 60 % on; it warms up"
        " only if warmup_proportion is given.",
        TRAIN,
        ("linear", "constant", "noam", "stepped"),
    )
    num_train_epochs: float = option(
        3.0, "Passes over the training examples; fractions are allowed.", TRAIN
    )
    train_token_budget: int | None = option(
        None,
        "Padded tokens per update instead of train_batch_size: short texts come in large batches.",
        BATCH,
    )
    bucket_by_length: bool = option(
        True, "Put examples of similar length in one batch (the order stays random).", BATCH
    )
    pad_to_max_length: bool = option(
        False, "Pad every batch to max_seq_length instead of to its longest example.", BATCH
    )
    steps_per_execution: int = option(
        1, "Updates per call of the compiled step (saves Python time on fast devices).", SPEED
    )

    def check_training(self):
        """Raises `UserError` for values out of range and for flags that contradict each other."""
        require(
            "steps_per_execution", self.steps_per_execution, self.steps_per_execution >= 1,
            "1 or more",
        )  # fmt: skip
        epochs = self.num_train_epochs
        require("num_train_epochs", epochs, epochs > 0, "a number above 0")
        budget, parts = self.train_token_budget, self.gradient_accumulation_steps
        require("train_token_budget", budget, budget is None or budget >= 1, "1 or more")
        self.check_run(divides=budget is None)
        self._contradiction(
            budget is not None and "train_batch_size" in self.given,
            "--train_token_budget and --train_batch_size both set the batch: give one of them",
        )
        self._contradiction(
            budget is not None and self.xla and parts > 1,
            "--xla with --train_token_budget cannot cut batches into"
            " --gradient_accumulation_steps: give --train_batch_size instead",
        )


@dataclasses.dataclass(kw_only=True)
class ClassifierOptions(
    freezing_options.FreezingOptions, pruning_options.PruningOptions, TrainingOptions
):
    """Options of `run_classifier.py` and of `classification.run`."""

    GROUPS: typing.ClassVar = (
        _WORK, _MODEL, _DATA, RUN, TRAIN, BATCH, SPEED,
        freezing_options.GROUP, pruning_options.GROUP, pruning_options.TEACHER_GROUP,
    )  # fmt: skip

    do_train: bool = option(False, "Fine-tune.", _WORK)
    do_eval: bool = option(
        False,
        "Evaluate on the dev split(s): at each checkpoint of training, and at its end.",
        _WORK,
    )
    do_predict: bool = option(False, "Predict the test split(s).", _WORK)

    model_dir: str | None = option(
        None,
        "Model folder to start from: shorthand for the next three flags. Any format that"
        " convert_checkpoint.py reads will do.",
        _MODEL,
    )
    bert_config_file: str | None = option(None, "bert_config.json of the model.", _MODEL)
    vocab_file: str | None = option(None, "vocab.txt that the model was trained on.", _MODEL)
    init_checkpoint: str | None = option(
        None, "Initial weights (checkpoint prefix or folder); random when absent.", _MODEL
    )
    do_lower_case: bool | None = option(
        None, "Lower-case and strip accents; as the model says, else true.", _MODEL
    )

    task_name: str | None = option(
        None,
        "cola, mnli, mrpc, qnli, qqp, rte, sst-2, sts-b, wnli, xnli; documents: ag, dbpedia, imdb,"
        " sogou, trec, yahoo, yelp-f (full), yelp-p (polarity); or custom for your own files."
        " Default: the task of the fine-tuned model.",
        _DATA,
    )
    data_dir: str | None = option(
        None, "Folder with the task's files in their original layout.", _DATA
    )
    max_seq_length: int = option(
        128, "Longer inputs are cut to this many tokens, [CLS] and [SEP] included.", _DATA
    )
    truncation: str = option(
        "head",
        "What stays of longer single texts: their first tokens, their last, or a quarter from the"
        " front and the rest from the end (with tfrecord_dir: how its files were cut). Default"
        " without do_train: as fine-tuned.",
        _DATA,
        ("head", "tail", "head_tail"),
    )
    max_train_examples: int | None = option(
        None, "Train on the first this many examples only.", _DATA
    )
    xnli_language: str = option("zh", "Language of the XNLI files.", _DATA)
    train_file: str | None = option(
        None, "custom task: training file, .tsv, .csv or .jsonl.", _DATA
    )
    dev_file: str | None = option(None, "custom task: file to evaluate on.", _DATA)
    test_file: str | None = option(None, "custom task: file to predict.", _DATA)
    text_column: str | None = option(
        None, "custom task: column of the text, a header name or a 0-based number.", _DATA
    )
    text_pair_column: str | None = option(None, "custom task: column of the second text.", _DATA)
    label_column: str | None = option(None, "custom task: column of the label.", _DATA)
    id_column: str | None = option(
        None,
        "custom task: column of test_file that names its rows in test_results_labels.tsv; they are"
        " numbered from 0 if absent.",
        _DATA,
    )
    labels: str | None = option(
        None,
        "custom task: comma-separated labels, in the order of the output columns; with two, f1,"
        " precision and recall are those of the second. Default: the fine-tuned model's, else those"
        " found in the training file.",
        _DATA,
    )
    regression: bool = option(False, "custom task: the label is a number to predict.", _DATA)
    feature_dir: str | None = option(
        None, "Folder for tokenised features, reused while nothing changed; in output_dir if"
        " absent.", _DATA
    )  # fmt: skip
    write_tfrecord: bool = option(
        False, "Also write the features as Google's train/eval/predict.tf_record.", _DATA
    )
    tfrecord_dir: str | None = option(
        None,
        "Read such TFRecord files from this folder instead of data_dir. Their label_ids are"
        " positions in the task's labels.",
        _DATA,
    )
    eval_batch_size: int = option(8, "Examples per evaluation batch.", BATCH)
    predict_batch_size: int = option(8, "Examples per prediction batch.", BATCH)

    def check(self):
        """Raises `UserError` for missing flags, contradictions, and flags without effect."""
        if not (self.do_train or self.do_eval or self.do_predict):
            raise UserError("give at least one of --do_train, --do_eval, --do_predict")
        if not self.output_dir:
            raise UserError("--output_dir is required: the folder of the run")
        if not self.model_dir and not (self.bert_config_file and self.vocab_file):
            raise UserError(
                "give --model_dir, or --bert_config_file and --vocab_file (and --init_checkpoint)"
            )
        self._contradiction(
            bool(self.model_dir and self.init_checkpoint),
            "--model_dir and --init_checkpoint both name the initial weights: give one of them",
        )
        for name in ("max_seq_length", "eval_batch_size", "predict_batch_size"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "1 or more")
        require("max_seq_length", self.max_seq_length, self.max_seq_length >= 3, "3 or more")
        rows = self.max_train_examples
        require("max_train_examples", rows, rows is None or rows >= 1, "1 or more")
        self.check_training()
        self.check_pruning()
        self.check_freezing()
        self._check_data()
        self._check_effect()

    def _check_data(self):
        name = (self.task_name or "custom").lower()
        stray = sorted(CUSTOM_FLAGS & self.given)
        self._contradiction(
            bool(stray) and name != "custom", f"--{(stray or [''])[0]} needs --task_name=custom"
        )
        self._contradiction(
            self.regression and self.labels is not None,
            "--regression predicts a number: --labels has no meaning with it",
        )
        self._contradiction(
            self.write_tfrecord and self.tfrecord_dir is not None,
            "--write_tfrecord has no effect with --tfrecord_dir: the files are there",
        )
        for other in ("data_dir", "feature_dir", "max_train_examples"):
            self._contradiction(
                self.tfrecord_dir is not None and getattr(self, other) is not None,
                f"--{other} has no effect with --tfrecord_dir, whose files are read as they are",
            )
        self._contradiction(
            "xnli_language" in self.given and (self.task_name or "xnli").lower() != "xnli",
            "--xnli_language needs --task_name=xnli",
        )

    def _check_effect(self):
        needs = {
            "do_train": set(TrainingOptions.__dataclass_fields__)
            - {"given", "output_dir", "timestamped_output_dir", "seed", "precision", "xla",
               "distribution_strategy", "num_gpus", "tpu", "pad_to_max_length"}
            | (set(pruning_options.PruningOptions.__dataclass_fields__) - {"mask_evaluation"})
            | set(freezing_options.FreezingOptions.__dataclass_fields__)
            | {"max_train_examples"},
            "do_eval": {"freeze_guard", "keep_best", "early_stopping_patience", "eval_batch_size",
                "dev_file"},
            "do_predict": {"predict_batch_size", "test_file"},
        }  # fmt: skip
        for mode, names in needs.items():
            stray = sorted(names & self.given)
            if stray and not getattr(self, mode):
                raise UserError(f"--{stray[0]} has no effect without --{mode}")

"""Compares full fine-tuning with freezing: accuracy, time by phase, frozen layers over time.

    python -m benchmarks.freezing --task_name=ag --data_dir=agnews --model_dir=minilm \\
        --num_train_epochs=4 --eval_batch_size=64 --seeds=1,2,3 --work_dir=runs/freezing

All flags of run_classifier.py that no variant sets go to every run. Each run is a process of its
own; those of a seed take turns, and the clock of a run stands still between its turns, so slow
spells of the machine hit all variants. What is measured already is not run again: the same command
goes on after a kill (runs that were under way begin anew), and more seeds or variants may be asked
for later.

The other experiment trains the model once for each number of frozen layers, and evaluates it after
each epoch:

    python -m benchmarks.freezing --experiment=depths --task_name=mrpc --data_dir=glue_data/MRPC \\
        --model_dir=minilm --work_dir=runs/depths

Written to work_dir: a folder for each run, report.md with all tables, report.png, report.json.
"""

from benchmarks.freezing.comparison import compare
from benchmarks.freezing.options import BenchmarkOptions
from bert_tf import cli

if __name__ == "__main__":
    cli.run(BenchmarkOptions, compare, __doc__)

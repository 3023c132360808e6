"""Install with `pip install -e .` (add [test] for the test suite and the linter)."""

import itertools
import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
# Read, not imported: the package may not be importable where it is being built.
VERSION = re.search(
    r'^__version__ = "(.+)"$', (ROOT / "bert_tf" / "__init__.py").read_text("utf-8"), re.MULTILINE
)[1]
# What export_model.py writes for, and what runs it: numpy, onnxruntime and tokenizers alone serve.
RUNTIMES = {
    "onnx": ["onnx", "onnxruntime", "tokenizers"],
    "openvino": ["nncf", "onnx", "openvino", "tokenizers"],
    "litert": ["ai-edge-litert", "tokenizers"],
}
# What run_classifier.py --dataset reads besides CSV and JSON lines.
SOURCES = {
    "datasets": ["datasets>=4", "pyarrow"],
    "parquet": ["pyarrow"],
    "tfds": ["importlib-resources", "tensorflow-datasets"],  # which forgets the first
}

setup(
    name="bert-tf",
    version=VERSION,
    description="BERT on TensorFlow: small, fast and cheap to train",
    long_description=(ROOT / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)],  # run
    packages=find_packages(include=["bert_tf", "bert_tf.*", "flop", "flop.*"]),
    py_modules=[
        "augment_data",
        "choose_subnetwork",
        "convert_checkpoint",
        "create_pretraining_data",
        "export_model",
        "export_subnetwork",
        "extract_features",
        "factorize",
        "predict",
        "remove_mask",
        "report",
        "run_classifier",
        "run_pretraining",
        "run_squad",
        "run_sweep",
        "run_tagger",
    ],
    # requirements-next.txt is the same list on TensorFlow 2.21, without tf-models-official.
    install_requires=[
        "absl-py",
        "h5py",
        "matplotlib",
        "ml-dtypes",
        "numpy",
        "safetensors",
        "scikit-learn",
        "scipy",
        "tensorboard>=2.20,<2.22",
        "tensorflow>=2.20,<2.22",
        "tensorflow-text>=2.20,<2.22",
        "tf-keras>=2.20,<2.22",
        "tf-models-official==2.20.*",  # has no release for TensorFlow 2.21: it decides on 2.20
        "threadpoolctl",
    ],
    extras_require={
        **RUNTIMES,
        **SOURCES,
        "test": [
            "basedpyright",
            "hypothesis",
            "pytest",
            "pytest-xdist",
            "ruff",
            *itertools.chain(*RUNTIMES.values(), *SOURCES.values()),
        ],
    },
    entry_points={
        "console_scripts": [
            "bert-augment-data=augment_data:cli_main",
            "bert-choose-subnetwork=choose_subnetwork:cli_main",
            "bert-convert-checkpoint=convert_checkpoint:cli_main",
            "bert-create-pretraining-data=create_pretraining_data:cli_main",
            "bert-export-model=export_model:cli_main",
            "bert-export-subnetwork=export_subnetwork:cli_main",
            "bert-extract-features=extract_features:cli_main",
            "bert-factorize=factorize:cli_main",
            "bert-predict=predict:cli_main",
            "bert-remove-mask=remove_mask:cli_main",
            "bert-report=report:cli_main",
            "bert-run-classifier=run_classifier:cli_main",
            "bert-run-pretraining=run_pretraining:cli_main",
            "bert-run-squad=run_squad:cli_main",
            "bert-run-sweep=run_sweep:cli_main",
            "bert-run-tagger=run_tagger:cli_main",
        ]
    },
)

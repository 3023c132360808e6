"""Install with `pip install -e .` (add [test] for the test suite and the linter)."""

import pathlib

from setuptools import find_packages, setup

setup(
    name="bert-tf",
    version="0.1.0",
    description="BERT on TensorFlow: small, fast and cheap to train",
    long_description=pathlib.Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["bert_tf", "bert_tf.*", "flop", "flop.*"]),
    py_modules=[
        "convert_checkpoint",
        "create_pretraining_data",
        "factorize",
        "remove_mask",
        "run_classifier",
        "run_pretraining",
    ],
    install_requires=[
        "absl-py",
        "matplotlib",
        "numpy",
        "safetensors",
        "scikit-learn",
        "scipy",
        "tensorboard==2.20.*",
        "tensorflow==2.20.*",
        "tensorflow-text==2.20.*",
        "tf-keras==2.20.*",
        "tf-models-official==2.20.*",
        "threadpoolctl",
    ],
    extras_require={"test": ["hypothesis", "pytest", "ruff"]},
    entry_points={
        "console_scripts": [
            "bert-convert-checkpoint=convert_checkpoint:cli_main",
            "bert-create-pretraining-data=create_pretraining_data:cli_main",
            "bert-factorize=factorize:cli_main",
            "bert-remove-mask=remove_mask:cli_main",
            "bert-run-classifier=run_classifier:cli_main",
            "bert-run-pretraining=run_pretraining:cli_main",
        ]
    },
)

# make quickstart   fine-tune, evaluate and use a real BERT on a small generated data set
# make test         what CI runs: make lint, then the test suite
# make quick        the tests that start no process and train next to nothing: a minute
# make test-next    the test suite on TensorFlow 2.21, without tf-models-official
# make lint         the linter and the type checker
# make venv         only the environment
#
# All of them first make .venv with what setup.py names, if need be (test-next .venv-next, with
# what requirements-next.txt names); Python 3.10 or newer is all that has to be there before.
# PYTHON=... picks the interpreter, VENV=... and NEXT=... the folders.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
NEXT ?= .venv-next
PIP_FLAGS ?= --quiet --disable-pip-version-check
PYTEST_FLAGS ?=

# What make quick runs: no process is started, and nothing trains for more than seconds.
QUICK := tests/budget tests/checkpoints tests/data tests/encoder tests/flop tests/tokenization \
	$(addprefix tests/training/test_,lever.py loop.py progress.py schedules.py state.py) \
	$(addprefix tests/classification/test_,evaluation.py model.py) tests/distillation/test_losses.py \
	$(addprefix tests/freezing/test_,monitor.py rule.py summary.py) tests/pruning/test_factorization.py \
	$(addprefix tests/test_,config.py files.py install.py) \
	$(addprefix --ignore=tests/,checkpoints/test_conversion_sweep.py checkpoints/test_google.py \
	checkpoints/test_tokenizer_files.py data/pretraining/test_build.py encoder/test_switches.py \
	flop/test_keras_model.py flop/test_pruner.py tokenization/test_benchmark.py \
	tokenization/test_unicode.py) -k 'not tf_models and not locale'

# A file's tests stay in one process: its fixtures are made once. A process takes 3 GB.
PARALLEL := -n auto --maxprocesses=4 --dist loadfile

RUN := $(VENV)/bin/python
STAMP := $(VENV)/installed

.PHONY: help quickstart test quick test-next lint venv clean

define new_environment
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: " + sys.executable + " is Python " + sys.version.split()[0] + "; 3.10 or newer is needed (make PYTHON=python3.11 ...)")'
@echo "Installing TensorFlow and the rest into $(@D): about 3 minutes, only this once"
@"$(PYTHON)" -m venv $(@D)
endef

help:
	@sed -n 's/^# \(make .*\)/  \1/p' Makefile

quickstart: $(STAMP)
	@$(RUN) examples/quickstart.py

test: lint
	@$(RUN) -m pytest $(PARALLEL) $(PYTEST_FLAGS)

quick: $(STAMP)
	@$(RUN) -m pytest $(QUICK) $(PYTEST_FLAGS)

test-next: $(NEXT)/installed
	@$(NEXT)/bin/python -m pytest $(PARALLEL) $(PYTEST_FLAGS)

lint: $(STAMP)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m basedpyright --pythonpath $(RUN)

venv: $(STAMP)

# The stamp is written last: an install that was broken off starts again.
$(STAMP): setup.py
	$(new_environment)
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[test]'
	@touch $@

$(NEXT)/installed: setup.py requirements-next.txt
	$(new_environment)
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) -r requirements-next.txt hypothesis pytest pytest-xdist
	@$(@D)/bin/python -m pip install $(PIP_FLAGS) --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) $(NEXT) quickstart build *.egg-info

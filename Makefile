# make quickstart   fine-tune, evaluate and use a real BERT on a small generated data set
# make test         what CI runs: linter, then the test suite
# make lint         the linter alone
# make venv         only the environment
#
# All of them first make .venv with what setup.py names, if need be; Python 3.10 or newer is all
# that has to be there before. PYTHON=... picks the interpreter, VENV=... the folder.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PIP_FLAGS ?= --quiet --disable-pip-version-check
PYTEST_FLAGS ?=

RUN := $(VENV)/bin/python
STAMP := $(VENV)/installed

.PHONY: help quickstart test lint venv clean

help:
	@sed -n 's/^# \(make .*\)/  \1/p' Makefile

quickstart: $(STAMP)
	@$(RUN) examples/quickstart.py

test: lint
	@$(RUN) -m pytest $(PYTEST_FLAGS)

lint: $(STAMP)
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

venv: $(STAMP)

# The stamp is written last: an install that was broken off starts again.
$(STAMP): setup.py
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10) and "error: " + sys.executable + " is Python " + sys.version.split()[0] + "; 3.10 or newer is needed (make PYTHON=python3.11 ...)")'
	@echo "Installing TensorFlow and the rest into $(VENV): about 3 minutes, only this once"
	@"$(PYTHON)" -m venv $(VENV)
	@$(RUN) -m pip install $(PIP_FLAGS) --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) quickstart build *.egg-info

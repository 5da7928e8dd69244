# Each target works alone on a fresh machine with Python 3.11 or newer: it makes .venv and installs what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
MARKS ?= not slow and not gpu
PACKAGES := framework medimg bio app pipelines
SOURCES := $(PACKAGES) tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help demo app test lint format bench conformance docs wheel system clean

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.core  ## train on real scans, finish a contouring, write NIfTI, DICOM SEG and a report
	$(BIN)/voxhelix demo

app: $(VENV)/.app  ## the web interface
	$(BIN)/python -m app

test: $(VENV)/.test system  ## all tests but the slow ones (make test MARKS="not gpu" for those too)
	$(BIN)/python -m pytest -m "$(MARKS)"

lint: $(VENV)/.test  ## style and types
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.test  ## put the code in the house style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.test  ## speed beside PyTorch (installs it), printed as tables
	$(PIP) install --quiet torch==2.13.0
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/conv3d.py
	$(BIN)/python benchmarks/unet_step.py
	$(BIN)/python benchmarks/unet_step.py --memory
	$(BIN)/python benchmarks/sequence_steps.py --repeats 3
	$(BIN)/python benchmarks/single_ops.py

conformance: $(VENV)/.test  ## PyTorch's operator database and the array API standard against the core (installs PyTorch)
	$(PIP) install --quiet torch==2.13.0 expecttest
	$(BIN)/python tests/conformance/ratchet.py
	$(BIN)/python tests/conformance/array_api.py

docs: $(VENV)/.docs  ## the documentation, in site/
	$(BIN)/mkdocs build --strict

wheel: $(VENV)/.test  ## dist/voxhelix-*.whl
	$(BIN)/python -m build --wheel

# Debian packages that some tests use; they skip where the package is missing and cannot be installed.
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; \
	  command -v chromium >/dev/null || missing="$$missing chromium"; \
	  command -v dciodvfy >/dev/null || missing="$$missing dicom3tools"; \
	  if [ -n "$$missing" ]; then \
	    echo "installing$$missing"; \
	    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; } \
	      >/dev/null || echo "could not install$$missing: the tests that need them are skipped"; \
	  fi; \
	fi

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "voxhelix needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable .
	@touch $@

$(VENV)/.app: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable ".[app]"
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable ".[test,app,bio]"
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --editable ".[docs]"
	@touch $@

clean:  ## remove what was built, not what was trained
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

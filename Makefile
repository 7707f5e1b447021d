# micronas-tf. `make help` lists the targets; `make demo` and `make test` need nothing but Python and pip.

PYTHON ?= python3
WORKERS ?= 2
BOARD ?= nucleo_f446re
# Of `make characterize`: the windows whose search space is measured, and further options of the command.
WINDOW ?= --window 128 --sensors 9 --classes 6
OPTIONS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
SOURCES := src tests benchmarks docs examples
# Two or more test processes share the files; each imports TensorFlow, about 1 GB of memory.
PYTEST := $(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check format characterize clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  PYTHON=… selects the interpreter (3.11 to 3.13), WORKERS=… the number of test processes."
	@echo "  BOARD=… WINDOW='--window 128 --sensors 9 --classes 6' OPTIONS='--resume' say what characterize measures."

demo: $(VENV)/installed ## Set up, then search on the default data: 50 ms, 32 KB, NUCLEO-F446RE
	$(BIN)/micronas-tf search --latency-ms 50 --memory-kb 32

test: $(VENV)/installed-dev ## Set up, then run the tests
	$(PYTEST)

test-slow: $(VENV)/installed-dev ## Run every test, also those that take minutes
	$(PYTEST) -m "slow or not slow"

check: $(VENV)/installed-dev ## Format, lint, types and import rules, without changing anything
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev ## Format the sources and repair what the linter can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

characterize: $(VENV)/installed ## Measure the operators of a search space on BOARD (qemu_cortex_m4: emulated)
	$(BIN)/micronas-tf characterize --board $(BOARD) $(WINDOW) $(OPTIONS)

clean: ## Remove the environment, caches and build outputs; runs/ stays
	rm -rf .venv build dist firmware_pio/.pio .mypy_cache .ruff_cache .pytest_cache .import_linter_cache src/*.egg-info
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as old as the last complete installation: a change of the metadata, or an interruption, installs again.
$(VENV)/installed: setup.cfg pyproject.toml | $(BIN)/pip
	@echo "Installing micronas-tf into $(VENV). TensorFlow is large: the first time takes minutes."
	@$(PIP) install --editable .
	@touch $@

$(VENV)/installed-dev: setup.cfg pyproject.toml | $(BIN)/pip
	@echo "Installing micronas-tf and its development tools into $(VENV). The first time takes minutes."
	@$(PIP) install --editable ".[dev]"
	@touch $(VENV)/installed $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "micronas-tf needs Python 3.11 to 3.13. Received: $$($(PYTHON) --version 2>&1). Choose one: make PYTHON=python3.12 …" >&2; exit 2; }
	@$(PYTHON) -m venv --clear $(VENV) || { \
	  echo "$(PYTHON) cannot make an environment with pip. On Debian: apt-get install python3-venv." >&2; exit 2; }

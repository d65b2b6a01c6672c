# Spot Optimizer on one machine. `make help` lists the targets.
# These can be set in the environment or as arguments (make up SPOT_API_PORT=9000):
# PYTHON chooses the interpreter that .venv is made with; DATABASE_URL a database of yours;
# SPOT_API_PORT, TEMPORAL_PORT, TEMPORAL_UI_PORT, LAB_PORT, DB_PORT the ports; PRICES a file of spot prices;
# DATA the folder that `make backtest` replays; TESTS what `make test` runs, WORKERS how many files of them at once.

python := .venv/bin/python
locks := $(wildcard requirements/*.lock)
# Files of tests go side by side; the longest come first, as they are listed. A test waits for most of its time, so there
# are two workers for each processor. Tracebacks are Python's own: drawing pytest's, deep in a worker, ends CPython 3.11
# with a SystemError now and then.
side_by_side = $(if $(filter-out 0 1,$(WORKERS)),-n $(WORKERS) --dist loadfile --no-loadscope-reorder --tb=native)
WORKERS ?= $(if $(filter 1,$(words $(TESTS))),1,$(shell expr 2 \* $$(nproc 2>/dev/null || echo 1)))

.DEFAULT_GOAL := help
.PHONY: help setup dashboard openapi up down status clean demo test check format structure lock bench backtest crash-matrix chaos

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' Makefile

setup: ## .venv with every package of requirements/dev.lock
	@bash lab/stack/setup.sh

dashboard: setup ## the web page, built when its sources have changed
	@bash lab/stack/dashboard.sh build

openapi: setup ## dashboard/openapi.json, of which the types of the page are made
	@$(python) -m api.openapi dashboard/openapi.json

up: setup ## start everything in the background and print where it is
	@bash lab/stack/dashboard.sh try
	@$(python) -m lab.stack up

down: ## stop what `make up` started; logs stay under var/log
	@test ! -x $(python) || $(python) -m lab.stack down

status: setup ## what runs, and where
	@$(python) -m lab.stack status

clean: ## stop everything; delete var/ and the caches of the tools
	@test ! -x $(python) || $(python) -m lab.stack clean
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

demo: setup ## the main job, played on the lab; report in var/demo/report.json
	@bash lab/stack/dashboard.sh try
	@$(python) -m proof.demo

test: setup ## every test, against a real database and Temporal server
	@$(python) -m pytest $(side_by_side) $(TESTS)

check: setup ## format, lint, types, layers, lock files
	@echo "check: format" && $(python) -m ruff format --quiet --check .
	@echo "check: lint" && $(python) -m ruff check --quiet .
	@echo "check: types" && $(python) -m mypy --no-error-summary
	@echo "check: layers" && said=$$(.venv/bin/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }
	@echo "check: lock files" && ! grep -nE '://|^-|@ file' $(locks)
	@test ! -e dashboard/package-lock.json || ! grep -n '"resolved"' dashboard/package-lock.json
	@echo "check: page" && test ! -e dashboard/package.json || bash lab/stack/dashboard.sh check
	@echo "check: all is well"

format: setup ## format the code
	@$(python) -m ruff format --quiet .
	@$(python) -m ruff check --quiet --fix .

structure: setup ## how large the code is, piece by piece; OF=folder of another checkout, to compare with
	@$(python) -m proof.structure $(OF)

lock: setup ## resolve pyproject.toml into the lock files; UPGRADE=1 takes newer versions
	@UV=.venv/bin/uv UPGRADE=$(UPGRADE) bash lab/stack/lock.sh

bench: setup ## measure what is promised, beside a baseline; an hour; ONLY="share streams" takes these alone
	@$(python) -m proof.benchmarks $(if $(ONLY),--only $(ONLY))

backtest: setup ## what the policy would have done: DATA=folder; report in var/backtest/report.json
	@test -n "$(DATA)" || { echo "backtest: name the folder with the history: make backtest DATA=folder" >&2; exit 2; }
	@$(python) -m research.backtest "$(DATA)"

crash-matrix: setup ## kill the worker at every call, commit and hook; ONLY=, SEED=, SAMPLE=, MINUTES= bound it, RESUME=1 goes on
	@$(python) -m proof.crash_matrix.command $(if $(ONLY),--only '$(ONLY)') $(if $(SEED),--seed $(SEED)) \
	  $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RESUME),--resume)

chaos: setup ## a fleet in all kinds of trouble, drawn from SEED=1, for MINUTES=10
	@$(python) -m proof.chaos.run $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

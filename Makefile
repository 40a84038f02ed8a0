# Needs only make and Python 3.11 or newer; everything else comes from the hash-locked requirements.
# `make help` lists the targets. PYTHON=/path/to/python3.12 chooses another interpreter.

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
WORKERS ?= 2
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist worksteal
# On a person's machine a missing PostgreSQL or Neo4j skips the second leg and says so; in CI it fails.
MISSING := $(if $(filter true,$(CI)),fail,skip)
# What asks neither engine, or shows the demo's own answers, is run on the first leg alone.
ONCE := tests/schema tests/attack/test_http_edges.py tests/attack/test_query_denial.py \
	tests/contract/test_graphql_http_audit.py tests/contract/test_readme.py tests/contract/test_breaking.py
SECOND_PYTEST = $(PYTEST) $(addprefix --ignore=,$(ONCE))
SECOND_LEG = SCRM_TEST_DATABASE=postgresql SCRM_TEST_GRAPH=neo4j SCRM_TEST_MISSING=$(MISSING)

IS_NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
ifndef PYTHON
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" $(IS_NEW_ENOUGH) 2>/dev/null && echo "$$p" && break; done)
endif

# An environment whose interpreter is gone (a system upgrade, a moved folder) is made again.
ifneq ($(wildcard $(VENV)),)
ifneq ($(shell $(BIN)/python $(IS_NEW_ENOUGH) 2>/dev/null && echo works),works)
.PHONY: $(VENV)/.made
endif
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo install dev test test-services check lint types imports lock-check sdl-check migrations-check fmt sdl lock bench bench-events bench-points clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

demo: install ## start with a demo group of 20,000 fans: database, graph, tokens and GraphiQL (Ctrl-C stops it)
	@exec $(BIN)/scrm demo

install: $(VENV)/.linked ## make .venv with what running needs
dev: $(VENV)/.dev ## add the tools that testing needs

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: none found on PATH. Name one: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) $(IS_NEW_ENOUGH) || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); echo "No environment could be made. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@

# The locks name everything (lock-check holds them to it). Left to look for what is needed, an older pip meets
# `coverage[toml]` in hash mode, finds a release newer than the locked one, and refuses.
$(VENV)/.run: requirements/run.txt $(VENV)/.made
	@echo "Installing the locked requirements into $(VENV): once, about half a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/run.txt
	@touch $@

# Without build isolation nothing is fetched: the build backend is in the lock.
$(VENV)/.linked: pyproject.toml $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.linked
	@echo "Installing the tools that testing needs: once"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

test: dev ## run the suite on SQLite and the embedded graph
	$(PYTEST)

test-services: dev ## run the suite on a throw-away PostgreSQL and Neo4j
	$(SECOND_LEG) $(SECOND_PYTEST)

check: lint types imports lock-check sdl-check migrations-check ## everything CI runs
	$(PYTEST) --cov --cov-report=term
	$(SECOND_LEG) $(SECOND_PYTEST)

lint: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: dev
	$(BIN)/mypy

imports: dev
	$(BIN)/lint-imports

# The linked project's metadata names its dependencies: a lock that no longer satisfies them is found here.
lock-check: dev
	$(BIN)/python -m pip check

sdl-check: dev
	$(BIN)/scrm sdl --check

migrations-check: dev
	$(BIN)/scrm migrate --check

sdl: dev ## print the two schemas into schema/*.graphql
	$(BIN)/scrm sdl

fmt: dev ## format, and mend what ruff can mend
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock: ## write requirements/*.txt anew from pyproject.toml (UPGRADE=1 takes the newest releases)
	$(PYTHON) -m venv --clear .lock
	.lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	.lock/bin/uv pip compile pyproject.toml --extra build $(LOCK_OPTIONS) --output-file requirements/run.txt
	.lock/bin/uv pip compile pyproject.toml --extra build --extra dev --constraint requirements/run.txt $(LOCK_OPTIONS) --output-file requirements/dev.txt
	@rm -rf .lock

LOCK_OPTIONS = --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header $(if $(UPGRADE),--upgrade)

bench: dev ## run the benchmarks (bench/README.md says what they measure; WRITE=1 keeps the results there)
	$(BIN)/python -m bench $(if $(WRITE),--write)

bench-events: dev ## measure how fast events come in, and what is read among ten million (WRITE=1 keeps it)
	$(BIN)/python -m bench.events $(if $(WRITE),--write)

bench-points: dev ## measure how fast points are earned beside pgbench, over two checkpoints (WRITE=1 keeps it)
	$(BIN)/python -m bench.points $(if $(WRITE),--write)

clean: ## remove environments, caches and reports; data stays
	rm -rf $(VENV) .lock build bench/peers/node_modules *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

PYTHON ?= python3
UV     ?= uv
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := .venv-audit/.ready
TOOLBIN := .venv-audit/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench compose-test compose-demo compose-profiles lock audit sbom clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## the whole chain on simulated jobs (CHAOS=1: while processes are killed)
	$(BIN)/python -m benchmarks demo $(if $(CHAOS),--chaos)

test: $(READY) ## every test (PYTEST_ARGS='-m unit -k tick' for some)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY) ## ruff, mypy, and the arrows of the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## one benchmark (NAME=...), or their list
	$(BIN)/python -m benchmarks $(NAME)

compose-test: $(READY) ## docker-compose.yml for real: built, started, killed, judged (as root)
	COMPOSE_TEST=1 $(BIN)/python -m pytest -s tests/acceptance/test_compose_stack.py $(PYTEST_ARGS)

compose-demo: $(READY) ## the same with a job of 1,000 subjobs (SUBJOBS=n)
	COMPOSE_TEST=1 COMPOSE_SUBJOBS=$(or $(SUBJOBS),1000) $(BIN)/python -m pytest -s \
	    tests/acceptance/test_compose_stack.py $(PYTEST_ARGS)

compose-profiles: $(READY) ## its profiles ha and monitoring for real, likewise (SUBJOBS=n)
	COMPOSE_TEST=1 COMPOSE_SUBJOBS=$(or $(SUBJOBS),50) $(BIN)/python -m pytest -s \
	    tests/acceptance/test_compose_profiles.py $(PYTEST_ARGS)

lock: ## resolve requirements.lock anew (needs uv)
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.10 --extra all \
	    --no-annotate --no-emit-index-url --custom-compile-command 'make lock' \
	    --output-file requirements.lock pyproject.toml

audit: $(TOOLS) ## ask PyPI's advisories about every package of the lock (needs the network)
	$(TOOLBIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock

sbom: $(TOOLS) ## the bill of materials: build/sbom.json (CycloneDX), from the lock
	mkdir -p build
	$(TOOLBIN)/cyclonedx-py requirements --output-reproducible --output-format JSON \
	    --pyproject pyproject.toml --output-file build/sbom.json requirements.lock

clean: ## remove the virtual environment, builds and caches
	rm -rf $(VENV) .venv-audit build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Apart from what they look at.
$(TOOLS):
	$(PYTHON) -m venv .venv-audit
	$(TOOLBIN)/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7,<8' \
	    'pip-audit>=2.9,<3'
	@touch $@

# The stamp is the last thing written, so that an interrupted installation is done again.
$(READY): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null \
	    || { echo 'gangamon needs Python 3.10 or later: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	    || { echo '$(PYTHON) has no venv module (Debian, Ubuntu: apt install python3-venv)'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[all]'
	@touch $@

# `make demo` and `make test` are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
PADDLE ?= paddlepaddle==3.3.1
VENV ?= .venv
BIN := $(VENV)/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
DEMO ?= demo

.PHONY: setup demo test test-slow lint wheels contract clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(PLUGINS:=/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(PADDLE)" -e ".[cpu,safetensors,test,lint]" $(PLUGINS:%=-e %)
	touch $@

demo: setup
	PATH="$(abspath $(BIN)):$$PATH" DEMO="$(DEMO)" sh docs/demo.sh

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheels: setup
	rm -rf dist
	for project in . $(PLUGINS); do \
	    $(BIN)/python -m build --quiet --wheel --outdir dist $$project || exit 1; \
	done

# What users get: the wheels alone, in an empty environment, away from the checkout.
contract: wheels
	PYTHON="$(PYTHON)" PADDLE="$(PADDLE)" sh tests/contract/run.sh dist

clean:
	rm -rf $(VENV) dist build $(DEMO)

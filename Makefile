# `make demo` and `make test` are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
PADDLE ?= paddlepaddle==3.3.1
VENV ?= .venv
EXTRAS ?= cpu,safetensors,test,lint
BIN := $(VENV)/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
DEMO ?= demo

# What training, exporting and predicting rest on, and every model.
MAIN_PATH := tests/engine tests/nn tests/tasks tests/export tests/inference \
    tests/faults/test_resume.py $(wildcard plugins/*/tests)

.PHONY: setup demo test test-slow main-path lint wheels contract clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(PLUGINS:=/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(PADDLE)" -e ".[$(EXTRAS)]" $(PLUGINS:%=-e %)
	touch $@

demo: setup
	PATH="$(abspath $(BIN)):$$PATH" DEMO="$(DEMO)" sh docs/demo.sh

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

# The main path on another Paddle, in an environment of its own:
#     make main-path PADDLE=paddlepaddle==2.6.2 PYTHON=python3.10
main-path: OTHER = $(VENV)-$(subst ==,-,$(PADDLE))
main-path:
	$(MAKE) setup VENV=$(OTHER) EXTRAS=cpu,safetensors,test
	$(OTHER)/bin/python -m pytest -m "not slow" $(MAIN_PATH)

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
	rm -rf $(VENV) $(VENV)-* dist build $(DEMO)

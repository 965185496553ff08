# `make demo` and `make test` are all that a newcomer needs; both set up .venv first.
PYTHON ?= python3
PADDLE ?= paddlepaddle==3.3.1
VENV ?= .venv
BIN := $(VENV)/bin
# exactly what is installed, with the digest of each file; `make lock` writes it anew
LOCK ?= requirements/$(subst ==,-,$(PADDLE)).txt
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PROJECTS := . $(PLUGINS)
DEMO ?= demo

# What training, exporting and predicting rest on, and every model.
MAIN_PATH := tests/engine tests/nn tests/tasks tests/export tests/inference \
    tests/faults/test_resume.py $(wildcard plugins/*/tests)

.PHONY: setup demo test test-slow quick lowest newest main-path lint wheels contract bare lock clean

setup: $(VENV)/.ready

$(VENV)/.ready: $(LOCK) pyproject.toml $(PLUGINS:=/pyproject.toml)
	$(PYTHON) -c 'import sys; assert (3, 10) <= sys.version_info < (3, 14), "segcore needs Python 3.10 to 3.13: make PYTHON=python3.12"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(PROJECTS:%=-e ./%)
	$(BIN)/python -m pip check
	touch $@

demo: setup
	PATH="$$(cd $(BIN) && pwd):$$PATH" DEMO="$(DEMO)" sh docs/demo.sh

test: setup
	$(BIN)/python -m pytest -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -m slow

# What meets other people's packages, in three minutes: readers and writers, commands, settings.
QUICK := $(addprefix tests/,checkpoint cli config data discovery docs export inference tasks trainable) \
    $(wildcard tests/test_*.py)

quick: setup
	$(BIN)/python -m pytest -m "not slow" $(QUICK)

# The same on the lowest versions that the metadata allow, and on the newest that there are today.
lowest:
	$(MAKE) quick VENV=$(VENV)-lowest LOCK=requirements/lowest.txt

newest:
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install --quiet --upgrade pip
	$(VENV)-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
	    $(PLUGINS:%=-e ./%) -e ".[cpu,safetensors,tiff,test]"
	$(VENV)-newest/bin/python -m pytest -m "not slow" $(QUICK)

# The main path on another Paddle, in an environment of its own:
#     make main-path PADDLE=paddlepaddle==2.6.2 PYTHON=python3.10
main-path: OTHER = $(VENV)-$(subst ==,-,$(PADDLE))
main-path:
	$(MAKE) setup VENV=$(OTHER)
	$(OTHER)/bin/python -m pytest -m "not slow" $(MAIN_PATH)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheels: setup
	rm -rf dist
	for project in $(PROJECTS); do \
	    $(BIN)/python -m build --quiet --no-isolation --wheel --outdir dist $$project || exit 1; \
	done

# What users get: the wheels alone, in an empty environment, away from the checkout.
contract: wheels
	PYTHON="$(PYTHON)" PADDLE="$(PADDLE)" sh tests/contract/run.sh dist

# Try the above where there is next to nothing: see the script. `make bare BARE="demo test"` takes longest.
BARE ?= demo quick
bare:
	PYTHON="$(PYTHON)" sh tests/contract/bare.sh $(BARE)

# Renew what `setup` installs: the newest version of everything, with each Paddle; and the lowest.
lock:
	PYTHON="$(PYTHON)" VENV="$(VENV)-lock" sh requirements/lock.sh

clean:
	rm -rf $(VENV) $(VENV)-* dist build $(DEMO)

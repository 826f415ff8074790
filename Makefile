# Every target does its own set-up: only Python 3.11, make and git are needed.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_DIR ?= out/bench
BENCH_SCALE ?= 1.0
# a GPU node has a Python with torch, and no network to make a .venv from
GPU_PYTHON ?= $(if $(wildcard $(BIN)/python),$(BIN)/python,python3)

.PHONY: help setup demo test test-slow faults lint bench bench-gpu bench-split clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(READY)  ## install into .venv, with all that the tests need

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; install Python 3.11 or say make PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-%: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$*]'
	@touch $@

$(READY): $(VENV)/.ready-dev
	# Readers that tests compare with, the packages alone: they would bring a second OpenCV, and that needs a display.
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps lvis supervision pydeprecate defusedxml
	@touch $@

# What the demo needs and no more, unless all is there already.
demo: $(or $(wildcard $(READY)),$(VENV)/.ready-demo)  ## the whole loop on a toy world, with the bundled checkpoint
	$(BIN)/xdetr-data demo

test: $(READY)  ## all tests that take no more than minutes, and the linters
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(READY)  ## the tests that take many minutes
	$(BIN)/python -m pytest -m slow

faults: $(READY)  ## damages inputs of five builds and files of a dataset a thousand times, and prints what the commands made of it
	$(BIN)/python -m tests.faults

lint: $(READY)  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## build-mixed-star at the real files' size, beside a plain script (about 10 GB of disk and memory)
	$(BIN)/python -m benchmarks.mixed_star --dir $(BENCH_DIR) --scale $(BENCH_SCALE)

bench-gpu:  ## the kernels of deformable attention and the image tower on a GPU, beside grid_sample
	$(GPU_PYTHON) -m benchmarks.gpu --json $(BENCH_DIR)/gpu.json

bench-split: $(READY)  ## how many paragraphs are split exactly
	$(BIN)/python -m benchmarks.split

clean:  ## remove what make made
	rm -rf $(VENV) out build *.egg-info

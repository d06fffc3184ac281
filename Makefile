# `make` alone lists what can be made. Every target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --progress-bar off --disable-pip-version-check -c constraints.txt
INSTALL := $(BIN)/python .ci/installing.py $(PIP)

.PHONY: help demo run test torn test-fast lint format package docs torture mutants bench bench-quick model clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): constraints.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (a few minutes, once)"
	@$(INSTALL) -e '.[dev]'
	@# without its torchvision, which is made for CUDA and breaks diffusers beside a torch for the CPU
	@$(INSTALL) --no-deps spandrel einops
	@touch $@

demo: $(READY) ## two pictures out of a drawing, with the built-in model
	@echo "Redrawing test-pictures/fire-drawing.png at two strengths, with the built-in model:"
	@$(BIN)/invoke --from-file test-pictures/demo.txt
	@echo "The two pictures named last lie in outputs/, with the drawing's way to each as a strip (.steps.png)."
	@echo "Next: make run, and at the prompt: a boat on the sea at sunset, oil painting"

run: $(READY) ## the shell; ARGS="…" makes one line, a pipe a batch
	@$(BIN)/invoke $(ARGS)

# three for two cores: some wait for a terminal, a signal or a download
TESTING = $(BIN)/python -m pytest --dist worksteal -n $$($(BIN)/python -c 'import os; print(-(-3 * os.cpu_count() // 2))')

# What fails beside other tests is run once more, alone and with the same seeds: a real fault fails again. One that
# does not is printed all the same, and depends on the machine's load: mend the test.
test: export TESTS_SEED := $(shell date +%s)
test: $(READY) ## every test
	@$(TESTING) || { echo; echo "once more, alone:"; $(BIN)/python -m pytest -p no:xdist --lf --lfnf=none; }

test-fast: $(READY) ## every test but the slow ones
	@$(TESTING) -m 'not slow'

torture: $(READY) ## every fault on purpose: kills, failing calls, power cuts, signals, mutants (an hour)
	@$(BIN)/python -m tests.torture

mutants: $(READY) ## single faults in copies of the code, each noticed by a test; ARGS="files.py --count 20"
	@$(BIN)/python -m tests.mutants $(ARGS)

torn: $(READY) ## 200 random actions for each kind of preview, on a terminal emulator and in tmux
	@TORN_ACTIONS=200 $(BIN)/python -m pytest -q -p no:xdist tests/shell/test_queue_shell.py

lint: $(READY) ## style, types, and which module may import which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## put the code into its style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

package: $(READY) ## sdist, wheel, an empty environment, and a picture made in another folder
	@.ci/package

$(VENV)/.docs: constraints.txt $(READY)
	@$(INSTALL) mkdocs-material
	@touch $@

docs: $(VENV)/.docs ## the site, in build/site; fails where a link leads nowhere
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(READY) ## our speed beside that of others, on this machine (an hour or two; a GPU as well)
	@$(BIN)/python -m benchmarks

bench-quick: $(READY) ## the same with the built-in model only: ten minutes on two cores
	@$(BIN)/python -m benchmarks --quick

model: $(READY) ## train the built-in model again (hours; see training/README.md)
	@echo "see training/README.md for the commands and how long each takes"

clean: ## remove what was set up
	rm -rf $(VENV) build dist *.egg-info

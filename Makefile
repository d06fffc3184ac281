# `make` alone lists the targets. Each sets up what it needs.
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

demo: $(READY) ## make two pictures from a drawing, with the built-in model
	@echo "Redrawing test-pictures/fire-drawing.png at two strengths, with the built-in model:"
	@$(BIN)/invoke --from-file test-pictures/demo.txt
	@echo "The two pictures are in outputs/, each with its steps as a strip (.steps.png)."
	@echo "Next, type make run, and at the prompt: a boat on the sea at sunset, oil painting"

run: $(READY) ## open the shell; ARGS="…" runs one line, a pipe a batch
	@$(BIN)/invoke $(ARGS)

# three workers for two cores, since some tests wait for a terminal, a signal or a download
TESTING = $(BIN)/python -m pytest --dist worksteal -n $$($(BIN)/python -c 'import os; print(-(-3 * os.cpu_count() // 2))')

# Tests that fail in parallel are run once more, alone and with the same seeds: real faults fail again. One that
# passes is printed all the same; it depends on the machine's load and must be fixed.
test: export TESTS_SEED := $(shell date +%s)
test: $(READY) ## run every test
	@$(TESTING) || { echo; echo "once more, alone:"; $(BIN)/python -m pytest -p no:xdist --lf --lfnf=none; }

test-fast: $(READY) ## run every test except the slow ones
	@$(TESTING) -m 'not slow'

torture: $(READY) ## run every fault-injection campaign: kills, failing calls, power cuts, signals, mutants (an hour)
	@$(BIN)/python -m tests.torture

mutants: $(READY) ## mutation testing: single faults in copies of the code; ARGS="files.py --count 20"
	@$(BIN)/python -m tests.mutants $(ARGS)

torn: $(READY) ## run 200 random actions for each kind of preview, on a terminal emulator and in tmux
	@TORN_ACTIONS=200 $(BIN)/python -m pytest -q -p no:xdist tests/shell/test_queue_shell.py

lint: $(READY) ## check style, types and imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

package: $(READY) ## build sdist and wheel, and test them in an empty environment
	@.ci/package

$(VENV)/.docs: constraints.txt $(READY)
	@$(INSTALL) mkdocs-material
	@touch $@

docs: $(VENV)/.docs ## build the site in build/site; fails on broken links
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(READY) ## compare our speed with others' on this machine (an hour or two; also on a GPU)
	@$(BIN)/python -m benchmarks

bench-quick: $(READY) ## the same with only the built-in model: ten minutes on two cores
	@$(BIN)/python -m benchmarks --quick

model: $(READY) ## train the built-in model again (hours; see training/README.md)
	@echo "see training/README.md for the commands and how long each takes"

clean: ## remove the environment and build files
	rm -rf $(VENV) build dist *.egg-info

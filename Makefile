# Every target works from a fresh clone on a Debian machine, as root or with sudo.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo test lint simulate simulate-million simulate-mutants crash-matrix crash-store bench clean lab-down flood
.NOTPARALLEL:

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PYTHON ?= python3
BIN := .venv/bin
LEVELS := lint unit simulation elements netns vm
BENCHES := $(patsubst bench/%.py,bench-%,$(wildcard bench/*.py))

help: ## this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## (.*)/  make \1\t\2/' | expand -t 26
	@echo "  levels:  $(addprefix test-,$(LEVELS)) test-netns-full test-vm-full"
	@echo "  benches: $(BENCHES)"

setup: ## install the Debian packages and the virtual environment that build, site and lab need
	@$(call install_debian,build)
	@$(MAKE) --no-print-directory .venv/installed

setup-test: setup ## the same, and what the tests need besides
	@$(call install_debian,test)

demo: setup ## from this clone to a formed three-node cluster in nested virtual machines
	$(SUDO) $(BIN)/trivet build profiles/lab.yaml -o build/lab
	$(SUDO) $(BIN)/trivet lab up profiles/lab.yaml --image build/lab --site sites/lab
	$(SUDO) $(BIN)/trivet lab times

lab-down: ## end the demo's machines and remove what they used
	$(SUDO) $(BIN)/trivet lab down

test: setup-test ## every level, cheap first, with a summary
	$(SUDO) $(BIN)/python -m tests.levels $(LEVELS)

lint: test-lint ## ruff, mypy, and the rules of the house

test-%: setup-test
	$(SUDO) $(BIN)/python -m tests.levels $*

SCHEDULES ?= 100000
SEED ?= 1
simulate: setup-test ## SCHEDULES=N [SEED=S]: formation under faults, seeds S to S+N-1; the last line is JSON
	$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) --seed $(SEED)

JOBS ?= 2
TOTALS ?= build/simulation/totals.json
simulate-million: setup-test ## [JOBS=2]: seeds 1 to 1000000, resumed where it was ended; totals in build/simulation
	$(BIN)/python -m tests.simulation --schedules 1000000 --jobs $(JOBS) --totals $(TOTALS)

simulate-mutants: setup-test ## every fault put into a copy of the core must be caught
	$(BIN)/python -m tests.simulation.mutants

JOBS ?= 2
crash-matrix: setup-test ## every kill of a formation, goes on where it was; FRESH=1, POINTS='words', SAMPLE=N [SEED=S], JOBS=N
	$(SUDO) $(BIN)/python -m tests.netns.crash --points '$(POINTS)' --jobs $(JOBS) \
	  --sample $(or $(SAMPLE),0) --seed $(SEED) $(if $(FRESH),--fresh) $(if $(LOCK),--lock $(LOCK))

FLOOD_S ?= 60
flood: setup-test ## form a site while mDNS is forged for FLOOD_S seconds first; the last line is JSON, with the agents' memory
	$(SUDO) $(BIN)/python -m tests.netns.flood $(FLOOD_S)

crash-store: setup-test ## glusterd cut off before every change of its store; STAGES=meet,probe,create,tune,start, EVERY=N, SITE=1
	$(SUDO) $(BIN)/python -m tests.netns.crash.cuts $(if $(STAGES),--stages $(STAGES)) --every $(or $(EVERY),1) $(if $(SITE),--site)

bench: $(BENCHES) ## every measurement against its peer; each ends with one JSON object

bench-%: setup-test
	$(SUDO) $(BIN)/python bench/$*.py

clean: ## remove what was built here (not the virtual environment, not the site folders)
	$(SUDO) rm -rf build
	$(SUDO) find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
	$(SUDO) rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# debian-packages.txt: a line is "[build] package  # why"; only what is missing is installed.
define install_debian
missing=$$(sed -n 's/^\[$(1)\] *\([a-z0-9.+-]*\).*/\1/p' debian-packages.txt | while read -r name; do \
  dpkg-query -W -f '$${db:Status-Abbrev}' "$$name" 2>/dev/null | grep -q '^ii' || echo "$$name"; done); \
if [ -n "$$missing" ]; then \
  echo "installing Debian packages:" $$missing; \
  $(SUDO) apt-get update -q; \
  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; \
fi
endef

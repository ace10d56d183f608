# `make` alone lists the targets.
PYTHON ?= python3
STAGE ?= dev
BIN := .venv/bin
# Node 20 is what the laptop is promised to need; jsii says at every start that it is old.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
# Where it is set, each of the processes that tests and commands start compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint check bench synth bootstrap deploy clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BIN)/.installed node_modules/.installed build/.installed ## Install everything, into this folder only
ifneq ($(origin PYTHON),file)
	@test "$$($(PYTHON) -V)" = "$$($(BIN)/python -V)" || { echo ".venv has $$($(BIN)/python -V); to have another: make clean first"; exit 1; }
endif

$(BIN)/.installed: requirements.txt functions/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is another; try: make PYTHON=python3.11 setup")'
	@echo "installing into .venv, which takes a minute or two"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --silent
	touch $@

# The functions' dependencies, for this machine and for AWS, so that every synth after this one works offline.
build/.installed: $(BIN)/.installed functions/requirements.txt functions/training-requirements.txt infra/asset.py
	$(BIN)/python -m infra.asset local dev
	touch $@

demo: setup ## Show the whole thing on this machine: train two products, drop images, see verdicts and events
	$(BIN)/python -m cli.demo

test: setup ## Run all tests
	$(BIN)/pytest -q --numprocesses auto --dist loadscope --no-loadscope-reorder --durations 10

lint: setup ## Format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint ## Lint, and the fast tests
	$(BIN)/pytest -q --numprocesses auto --dist loadscope --no-loadscope-reorder -m "not integration and not slow"

bench: setup ## Measure what the README claims; DATA=DIR adds the labelled sets of a folder
	$(BIN)/python -m bench.pipeline
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.quality
	$(BIN)/python -m bench.console
	$(BIN)/python -m bench.detect
	$(BIN)/python -m bench.accuracy $(if $(DATA),--data $(DATA))
	$(BIN)/python -m bench.robustness $(if $(DATA),--data $(DATA))
	$(BIN)/python -m bench.drift $(if $(DATA),--data $(DATA))
	$(if $(DATA),$(BIN)/python -m bench.ablation --data $(DATA))

synth: setup ## Write the CloudFormation template of STAGE (local, dev, prod) to cdk.out/
	cdk synth --quiet -c stage=$(STAGE)

bootstrap: setup ## Prepare the account and region of the current credentials for the CDK, once
	cdk bootstrap -c stage=$(STAGE)

deploy: setup ## Deploy STAGE (dev, prod) to the AWS account of the current credentials
	cdk deploy -c stage=$(STAGE)

# What still runs would hold its port with nobody left who knows how to stop it. Stopping takes no library, nor .venv.
clean: ## Stop the local AWS; remove everything that was installed or built
	@for port in $$(ls .relook 2>/dev/null); do \
		if $(PYTHON) -c "import pathlib, local.emulator as e; e.Emulator($$port, pathlib.Path('.relook/$$port')).stop()"; \
		then rm -rf .relook/$$port; \
		else echo "the local AWS on port $$port could not be stopped; .relook/$$port stays, and says which process it is"; fi; \
	done
	rm -rf .venv node_modules build cdk.out relook-pictures *.egg-info .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
	@rmdir .relook 2>/dev/null || true

# Each target is a line or two of tested Python; `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
APP ?= taxi
ENV ?= test
LOCK ?= images.lock.json
PORT ?=
PENSTOCK := .venv/bin/penstock
AT = $(if $(PORT),--port $(PORT))

export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never

.PHONY: help run images compile submit platform generate demo-rollout test test-containers test-cluster lint check bench clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.penstock ## Train, validate, register and serve a model. APP=<name> (default taxi) ARGS='--set until=2016-01-01' PORT=9000
	@$(PENSTOCK) serve --app $(APP) $(AT) --check
	@$(PENSTOCK) run training --app $(APP) $(ARGS)
	@$(PENSTOCK) serve --app $(APP) $(AT) --detach

images: .venv/.penstock ## Build what changed of the steps' images, push it to ENV's registry, write images.lock.json
	@$(PENSTOCK) images build $(STEPS)
	@$(PENSTOCK) images push --env $(ENV)
	@$(PENSTOCK) images lock --env $(ENV)

compile: .venv/.penstock ## Compile the pipelines to pipelines/compiled/ and, with images.lock.json, to delivered/ by digest
	@$(PENSTOCK) compile
	@if [ -e $(LOCK) ]; then $(PENSTOCK) compile --lock $(LOCK); fi

platform: .venv/.penstock ## Apply the Kubernetes objects that ENV's runs need (MLflow server, service account, ...)
	@$(PENSTOCK) platform apply --env $(ENV)

submit: platform ## Run APP's training pipeline in the environment ENV, and wait for its end. ARGS='--no-cache'
	@$(PENSTOCK) submit training --app $(APP) --env $(ENV) --wait $(ARGS)

generate: .venv/.penstock compile ## Write each step's component.yaml and README.md, and the references and tables of the docs
	@.venv/bin/python -m penstock.generate

test: .venv/.dev ## Run all tests, each in the environment of its stack. ARGS='tests/components/gate -k blocks'
	@.venv/bin/python tests/run.py $(ARGS)

test-containers: .venv/.dev ## Test the images and the docker runner on a real engine
	@.venv/bin/python tests/run.py tests/containers $(ARGS)

test-cluster: .venv/.dev ## Test the pipelines on a real KFP cluster: KFP_HOST, KUBECONFIG, REGISTRY
	@.venv/bin/python tests/run.py tests/cluster $(ARGS)

lint: .venv/.dev ## Check format, lint and types
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy

check: .venv/.dev ## Check that what is generated is current: IR, component.yaml, READMEs, locks
	@$(PENSTOCK) compile --check
	@.venv/bin/python -m penstock.generate --check
	@for folder in . images/*/; do (cd $$folder && "$(CURDIR)/.venv/bin/uv" lock --check --quiet) || { echo "$$folder/uv.lock is stale: run uv lock there" >&2; exit 1; }; done

demo-rollout: .venv/.penstock ## Watch a good model promoted and a bad one rolled back, on real trips sent as requests (some minutes)
	@.venv/bin/python -m benchmarks.rollout_demo $(ARGS)

bench: .venv/.dev ## Measure every figure that the README claims (benchmarks/results/). ARGS=<serving|pipeline_overhead|evaluate|...>
	@.venv/bin/python benchmarks/run.py $(ARGS)

clean: .venv/.penstock ## Remove local runs, their cache and unused environments (the registry stays)
	@$(PENSTOCK) clean --all --yes

.penstock/bootstrap/bin/uv: images/bootstrap.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not there: install Python 3.11, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Making the environment of the command line (once, about 20 s) ..." >&2
	@$(PYTHON) -m venv .penstock/bootstrap
	@.penstock/bootstrap/bin/pip install --quiet --disable-pip-version-check --require-hashes -r images/bootstrap.txt
	@touch $@

.venv/.penstock: pyproject.toml uv.lock .penstock/bootstrap/bin/uv
	@.penstock/bootstrap/bin/uv sync --frozen --quiet --inexact --no-dev --python $(PYTHON)
	@touch $@

.venv/.dev: .venv/.penstock
	@.penstock/bootstrap/bin/uv sync --frozen --quiet --python $(PYTHON)
	@touch $@

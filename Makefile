# What people and CI call. `make` alone lists it. ARGS is passed on: make run ARGS="--port 4001".
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= 2
# The checkout of the official compliance suite, and the real routes to ask it on.
SUITE ?=
ROUTES ?=
# What builds container images. Podman and Buildah keep the image's health check in Docker's format only.
ENGINE ?= docker
# Which Python makes the environment; empty: the first of python3, python3.14 … python3.11 that is 3.11 or later.
PYTHON ?=
export PYTHON
# Some containers ask for no byte code: then each process that a test starts would compile the gateway anew.
export PYTHONDONTWRITEBYTECODE :=

# Where `make build` writes its bill of materials.
SBOM ?= .aws-sam/build/sbom.cdx.json
# Lambda's processor. The layer's Makefile gets it from the environment, the template as a parameter: `make build`.
ARCHITECTURE ?= arm64
# pyenv's python3.13, which SAM would not find unless pyenv has selected it.
PATH313 := $(addsuffix :,$(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin)))

CODE := $(wildcard layers/core/openresponses layers/runtime functions scripts tests)

.PHONY: help setup setup-run run test test-slow examples conformance wheel image test-clients test-clients-python clients-python clients-js soak fuzz check format docs lock sam-venv audit-venv build sbom audit deploy local-aws verify-aws clean

help: ## list these targets
	@awk -F':.*## ' '/^##@ /{ printf "\n%s\n", substr($$0, 5) } /^[a-z][a-z-]*:.*## /{ printf "  make %-20s %s\n", $$1, $$2 }' Makefile

##@ Try it

setup-run:
	@scripts/setup.sh $(VENV) requirements-serve.txt --editable

run: setup-run ## serve http://127.0.0.1:4000 (installs what it needs first)
	@$(BIN)/openresponses serve $(ARGS)

##@ Develop

setup: ## install all that development needs into .venv
	@scripts/setup.sh $(VENV) requirements-dev.txt --editable

test: setup ## run the tests, but for the slow ones
	@$(BIN)/python -m pytest -n $(JOBS) -m "not slow" $(ARGS)

test-slow: setup ## run all tests: full cuts, real durations
	@$(BIN)/python -m pytest $(ARGS)

check: setup ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(CODE)

format: setup ## format the code, mend what lint can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## bring the generated tables of README and docs up to date (ARGS=--check only looks)
	@$(BIN)/python -m scripts.docs $(ARGS)

lock: ## compile the lock files from pyproject.toml (ARGS=--upgrade: to the newest versions)
	@scripts/setup.sh $(VENV)-lock scripts/requirements-uv.txt
	@$(VENV)-lock/bin/python scripts/lock.py $(VENV)-lock/bin/uv $(ARGS)

##@ Verify more

examples: setup ## run examples/ against the local server (those whose clients are installed: make test-clients)
	@$(BIN)/python -m pytest tests/examples $(ARGS)

clients-python: setup
	@scripts/setup.sh $(VENV)-clients requirements-clients.txt
	@scripts/setup.sh $(VENV)-clients-openai2 requirements-clients-openai2.txt

clients-js:
	@cd tests/clients/js && { cmp -s package-lock.json node_modules/.installed || \
	  { npm ci --no-audit --no-fund && cp package-lock.json node_modules/.installed; }; }

test-clients: clients-python clients-js ## install real clients (2 GB) and run them all on every provider family
	@$(BIN)/python -m tests.clients.matrix $(ARGS)

test-clients-python: clients-python ## the same with the Python clients only
	@$(BIN)/python -m tests.clients.matrix -k "Python or pydantic or LlamaIndex or any-llm or Framework or Haystack or litellm or llm" $(ARGS)

conformance: setup ## the official suite on every provider route (SUITE=path, ROUTES="openai/gpt-5-mini …": real ones)
	@$(BIN)/python -m tests.conformance.suite "$(SUITE)" $(ROUTES)

soak: setup ## load, failing providers, vanishing clients, 30 s (ARGS="--seconds 300", ARGS=--lambda)
	@$(BIN)/python -m tests.soak $(ARGS)

fuzz: setup ## 100,000 generated requests and 100,000 generated streams, on all cores (ARGS="--requests N --seed S")
	@$(BIN)/python -m tests.fuzz $(ARGS)

audit: setup audit-venv ## look for known vulnerabilities in all locks (ARGS=--allow-unreachable: pass without an answer)
	@$(BIN)/python -m scripts.audit $(VENV)-audit/bin/pip-audit $(ARGS)

##@ Build and deploy

wheel: setup ## build dist/openresponses-*.whl
	@rm -rf build/lib build/bdist.*
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

image: ## build the container image `openresponses` (needs Docker, or ENGINE=podman, or ENGINE=buildah)
	@BUILDAH_FORMAT=docker $(ENGINE) build --tag openresponses $(ARGS) .

sam-venv: ## install AWS's SAM CLI into .venv-sam (to validate, build and deploy)
	@scripts/setup.sh $(VENV)-sam requirements-sam.txt

build: sam-venv audit-venv ## build what `sam deploy` deploys (ARCHITECTURE=x86_64 for Intel)
	@AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PATH="$(PATH313)$$PATH" ARCHITECTURE=$(ARCHITECTURE) \
	  $(VENV)-sam/bin/sam build --parameter-overrides Architecture=$(ARCHITECTURE) $(ARGS)
	@$(MAKE) --no-print-directory sbom ARGS=

sbom: audit-venv ## list what ships, as CycloneDX: .aws-sam/build/sbom.cdx.json (part of `make build`)
	@mkdir -p $(dir $(SBOM))
	@PYTHONWARNINGS=ignore $(VENV)-audit/bin/cyclonedx-py requirements layers/core/requirements.txt --pyproject pyproject.toml \
	  --output-reproducible --output-file $(SBOM)

deploy: ## build, then deploy (the first time with questions: ARGS=--guided)
	@$(MAKE) --no-print-directory build ARGS=
	@$(VENV)-sam/bin/sam deploy $(ARGS)

local-aws: setup ## the stack on this machine: moto, and sam local in containers (docs/deploying.md)
	@$(MAKE) --no-print-directory build ARGS= ARCHITECTURE=$$(uname -m | sed s/aarch64/arm64/)
	@$(BIN)/python -m scripts.local_aws

verify-aws: setup sam-venv ## check in your AWS account what only AWS can show, on a throwaway stack (ARGS=--purge)
	@$(BIN)/python -m scripts.verify_aws $(ARGS)

audit-venv:
	@scripts/setup.sh $(VENV)-audit requirements-audit.txt

##@ Tidy

clean: ## remove what make made
	rm -rf $(VENV) $(VENV)-lock $(VENV)-sam $(VENV)-audit $(VENV)-clients $(VENV)-clients-openai2 tests/clients/js/node_modules build dist .aws-sam .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf layers/core/openresponses.egg-info
	find layers functions tests -name __pycache__ -type d -prune -exec rm -rf {} +

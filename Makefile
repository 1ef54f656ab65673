# Every target sets up what it needs in .venv; the set-up is skipped when pyproject.toml did not change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PRESET ?= tiny
ASK ?= Q: 21 + 34 = A:
PROTOS := $(sort $(wildcard proto/agentforge/v1/*.proto))

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-driving test-postgres compose-test oracle check fix proto bench base-image images evidence clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

setup: $(VENV)/.installed ## Make .venv with everything in it

run: setup ## Run every phase on the tiny preset (PRESET=small for another)
	$(BIN)/agentforge run --preset $(PRESET) --ask "$(ASK)"

test: setup ## Run the tests, but the slow ones
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-slow: setup ## Run the slow tests only
	$(BIN)/python -m pytest -m slow --timeout 3600

test-driving: setup ## Drive 20 generated minutes (AGENTFORGE_DRIVE_1000=FOLDER: 1,000, goes on where it was ended)
	$(BIN)/python -m pytest -m slow tests/unit/adas_drive/closed_loop/test_minutes.py

test-postgres: setup ## Run the gateway's tests on a PostgreSQL server, which they start (Debian: postgresql)
	AGENTFORGE_TEST_DATABASE=postgres $(BIN)/python -m pytest tests/unit/gateway tests/unit/registry tests/e2e/test_gateway_kills.py \
		--numprocesses auto --maxprocesses 4 --dist loadfile

compose-test: setup ## Run the tiny preset in the nine images by Compose, kill containers (AGENTFORGE_COMPOSE_WHOLE=1)
	AGENTFORGE_COMPOSE_MUST_RUN=1 $(BIN)/python -m pytest -m slow tests/compose -s

oracle: setup ## Compare merging with mergekit (AGENTFORGE_MERGEKIT: a Python that has it)
	$(BIN)/python -m pytest -m oracle tests/oracle

check: setup ## Lint, types, import walls, the contract, and that what is generated is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=services:gateway $(BIN)/lint-imports
	$(BIN)/python -m tests.tools.check_proto
	$(BIN)/python -m tests.tools.check_walls
	$(BIN)/python -m tests.tools.check_size
	$(BIN)/python -m tests.tools.write_evidence --check
	$(BIN)/python -m tests.tools.write_chart_readme --check
	$(BIN)/python -m tests.tools.write_requirements --check

fix: setup ## Apply what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

proto: setup ## Generate services/agentforge/v1 from proto/
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=proto \
		--python_out=services --grpc_python_out=services --mypy_out=services --mypy_grpc_out=services $(PROTOS)

bench: setup ## Measure the frame's figures into bench/*.json
	$(BIN)/python -m tests.bench

evidence: setup ## Write docs/EVIDENCE.md from the recorded trials (agentforge evidence --rerun measures)
	$(BIN)/python -m tests.tools.write_evidence

base-image: ## A base for the images where no registry is in reach: Debian by debootstrap (as root)
	$(PYTHON) -m deploy.base_image

images: ## Build the nine container images (BASE=image, VARIANT=cpu|cuda), and print their sizes
	$(PYTHON) -m deploy.build_images $(if $(BASE),--base $(BASE)) $(if $(VARIANT),--variant $(VARIANT))

clean: ## Remove .venv and caches (runs are kept)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

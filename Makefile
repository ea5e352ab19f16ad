# What one types; everything else is called from here.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV = .venv
BIN = $(VENV)/bin
PREFECT = .venv-prefect
TSC = npx --yes --package typescript@5.9 tsc

.PHONY: run install test check lock bench faults kills prefect clean

run: install
	@exec $(BIN)/python -m dev

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

test: install
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m dev.english
	$(TSC) --project tests/static/jsconfig.json

lock: install
	$(BIN)/uv pip compile pyproject.toml --extra demo --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --quiet --upgrade \
	  --custom-compile-command 'make lock' --output-file requirements.txt

bench: install
	$(BIN)/python -m bench

faults: install
	$(BIN)/python -m tests.faults $(FAULTS)

kills: install
	$(BIN)/python -m tests.faults.kills $(KILLS)

prefect: install $(PREFECT)/installed
	$(BIN)/python -m pytest tests/services/test_prefect.py

$(PREFECT)/installed:
	$(PYTHON) -m venv $(PREFECT)
	$(PREFECT)/bin/python -m pip install --quiet 'prefect~=3.9'
	@touch $@

clean:
	rm -rf $(VENV) $(PREFECT) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

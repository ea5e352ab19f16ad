# What one types; everything else is called from here.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV = .venv
BIN = $(VENV)/bin
PREFECT = .venv-prefect
AWS = .venv-aws
TSC = npx --yes --package typescript@5.9 tsc

.PHONY: run install test test-engines check lock bench faults kills prefect aws clean

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

# Failovers of Redis, behind Sentinels and in a Cluster.
test-engines: install
	ENGINES=all $(BIN)/python -m pytest tests/engines

# Prefect needs many packages, of versions of its own.
prefect: install $(PREFECT)/installed
	$(BIN)/python -m pytest tests/services/test_prefect.py

$(PREFECT)/installed: tests/services/prefect.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed."; exit 1; }
	test -x $(PREFECT)/bin/python || $(PYTHON) -m venv $(PREFECT)
	$(PREFECT)/bin/python -m pip install --quiet --requirement $<
	@touch $@

aws: install $(AWS)/installed
	$(BIN)/python -m pytest tests/services/test_step_functions.py

$(AWS)/installed:
	$(PYTHON) -m venv $(AWS)
	$(AWS)/bin/python -m pip install --quiet 'moto[server,stepfunctions]~=5.2'
	$(BIN)/python -m pip install --quiet --editable '.[aws]'
	@touch $@

clean:
	rm -rf $(VENV) $(PREFECT) $(AWS) *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

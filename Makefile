# The commands of this project: each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
SOURCES := models clients store tasks flows deployments cli simulator tests

.PHONY: demo up test system chaos check lock clean

demo: $(READY)  ## every outcome on this machine, against the simulator
	$(BIN)/avatars demo

up: $(READY)  ## the whole service on this machine, until Ctrl-C
	$(BIN)/avatars up

test: $(READY)  ## all tests but those of whole systems
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not system"

system: $(READY)  ## the demo, batches, races, stacks, workers and their deaths, as processes: 15 minutes and more
	$(BIN)/pytest -m system

chaos: $(READY)  ## a thousand crashes in process and thirty real kills, counted: 20 minutes and more
	AVATARS_CHAOS=long $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/chaos

check: $(READY)  ## style, types, import rules, migrations in step with the tables
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	folder=$$(mktemp -d) && export AVATARS_DATABASE_URL=sqlite+aiosqlite:///$$folder/ledger.db \
	  && $(BIN)/avatars db upgrade && $(BIN)/alembic check; code=$$?; rm -rf $$folder; exit $$code

lock: $(READY)  ## pin every dependency anew
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

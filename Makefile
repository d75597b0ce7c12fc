# The commands of this project: each sets up what it needs.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Its marker in pyproject.toml, which pip-compile leaves out.
ATHERIS := sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.14'
SOURCES := models clients store tasks flows deployments cli simulator benchmarks tests

.PHONY: demo up test system chaos fuzz bench check lock clean

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

fuzz: $(READY)  ## 110,000 hostile inputs, counted, each watched for its time and memory: 10 minutes and more
	$(BIN)/python -m tests.fuzz --cases 100000
	AVATARS_FUZZ=long $(BIN)/pytest tests/fuzz/test_servers.py

bench: $(READY)  ## against its peers, in one run: an hour and more; writes BENCHMARKS.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.lock
	$(BIN)/python -m benchmarks

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
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --constraint requirements.lock --output-file benchmarks/requirements.lock benchmarks/requirements.in
	sed -i "s/^\(atheris==[^ ]*\)/\1 ; $(ATHERIS)/" requirements.lock

clean:
	rm -rf .venv

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

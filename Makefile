# The commands of this project. Each one installs its dependencies first.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
# The environment marker of atheris in pyproject.toml, which pip-compile omits.
ATHERIS := sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.14'
# Most other tests run the code in child processes, where coverage is not measured.
MEASURED := models clients media store services tasks
# Runs a command with its output in a log, which is printed only if the command fails.
LOGGED = $(1) > .venv/install.log 2>&1 || { cat .venv/install.log; exit 1; }

# Commands and tests start many processes, which compile every module again if this is set.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo up help setup test coverage test-system chaos fuzz bench check docs dist lock clean

demo: $(READY)  ## show every outcome on this machine against the simulator
	@$(BIN)/avatars demo

up: $(READY)  ## run the whole service on this machine until Ctrl-C
	@$(BIN)/avatars up

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## install everything that development needs into .venv

test: $(READY)  ## run all tests except the system tests
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not system"

coverage: $(READY)  ## run the tests of models to tasks, and print which lines they do not run
	$(BIN)/pytest -n 2 --dist loadfile -m "not system" --cov --cov-report=term-missing:skip-covered $(MEASURED:%=tests/%)

test-system: $(READY)  ## run the system tests: commands, stacks, fault injection and load (80 minutes)
	$(BIN)/pytest -m system

chaos: $(READY)  ## run the fault-injection tests: 10,000 crashes in process and 30 kills (two hours)
	AVATARS_CHAOS=long $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/chaos

fuzz: $(READY)  ## run 110,000 hostile inputs with limits on time and memory (30 minutes)
	$(BIN)/python -m tests.fuzz --cases 100000
	AVATARS_FUZZ=long $(BIN)/pytest tests/fuzz/test_servers.py

bench: $(READY)  ## run all benchmarks and write BENCHMARKS.md (two hours or more)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r benchmarks/requirements.lock
	$(BIN)/python -m benchmarks

check: $(READY)  ## check style, vocabulary, sentences, types, import rules, and that migrations match the tables
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python .ci/vocabulary.py
	$(BIN)/python .ci/sentences.py
	$(BIN)/mypy
	$(BIN)/lint-imports
	folder=$$(mktemp -d) && export AVATARS_DATABASE_URL=sqlite+aiosqlite:///$$folder/ledger.db \
	  && $(BIN)/avatars db upgrade && $(BIN)/alembic check; code=$$?; rm -rf $$folder; exit $$code

docs: $(READY)  ## build the documentation as a site in site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

dist: $(READY)  ## build the wheel and the source distribution in dist/
	rm -rf dist build
	$(BIN)/python -m build --no-isolation --outdir dist

# requirements-dev.lock pins everything. The other two take their versions from it.
lock: $(READY)  ## update all pinned dependencies
	$(COMPILE) --extra dev --extra demo --allow-unsafe --output-file requirements-dev.lock pyproject.toml
	sed -i "s/^\(atheris==[^ ]*\)/\1 ; $(ATHERIS)/" requirements-dev.lock
	$(COMPILE) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	$(COMPILE) --constraint requirements-dev.lock --output-file benchmarks/requirements.lock benchmarks/requirements.in

clean:  ## remove .venv
	rm -rf .venv

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/python || { echo "creating .venv"; $(PYTHON) -m venv .venv; }
	@echo "installing the dependencies into .venv, which takes a minute or two"
	@$(call LOGGED,$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock)
	@echo "installing avatars"
	@$(call LOGGED,$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .)
	@touch $@

# make run | test | check | bench | load | soak | lock. Variables such as PORT, HOST and SOURCE pass through:
#   make run PORT=9000 SOURCE=simulated

SHELL := /bin/bash
PYTHON ?= $(shell for name in python3.11 python3; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$name; exit; }; \
  done; command -v python3)
VENV := .venv
UV := 0.13.9
PY := $(VENV)/bin/python
# Tools are run as modules: a moved folder keeps working, scripts with fixed paths wouldn't.
# uv is quick; pip does the same where uv can't reach the index that pip is set up for.
INSTALL = $(PY) -m uv pip install --quiet --python $(PY) -r $(1) 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check -r $(1)

# Python keeps what it has compiled, whatever the environment says: a test run starts hundreds of
# processes, and each would compile the libraries anew, and five of them every test.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run test check bench load soak lock chromium postgres redis
.DEFAULT_GOAL := run

run: $(VENV)/.compiled
	@# What only jobs need is compiled beside the desk's first minutes, before there is history to scan.
	@nice -n 10 $(MAKE) -s $(VENV)/.compiled-jobs >/dev/null 2>&1 &
	@# gunicorn reads this one itself, before our settings, and would answer with a traceback.
	@case "$$WEB_CONCURRENCY" in *[!0-9]*) \
	  echo "WEB_CONCURRENCY='$$WEB_CONCURRENCY' is not usable; allowed: a whole number from 1 to 64" >&2; exit 78;; esac
	@[ -n "$$WEB_CONCURRENCY" ] || unset WEB_CONCURRENCY; exec $(PY) -m gunicorn wsgi:server

# Five files at a time on two cores, in order: what waits longest comes first, and all else is
# computed beside it.
test: $(VENV)/.compiled-tests chromium postgres redis
	$(PY) -m pytest -n 5 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c "import sys; from importlinter.cli import lint_imports_command; sys.argv = ['lint-imports']; lint_imports_command()"
	@log=$$(timeout 120 $(PY) -m pip_audit --requirement requirements-lock.txt --no-deps --disable-pip --progress-spinner off 2>&1); code=$$?; \
	unknown=$$(grep -c 'could not be audited' <<<"$$log" || true); \
	if [ $$code -eq 0 ] && [ $$unknown -gt 0 ]; then echo "pip-audit: no data for $$unknown packages from here; the others have no known vulnerability"; \
	elif [ $$code -eq 0 ]; then echo "$$log"; \
	elif [ $$code -eq 124 ] || grep -qE 'ConnectionError|ConnectTimeout|HTTPError|Max retries|ServiceError' <<<"$$log"; then \
	  echo "pip-audit: its data can't be reached from here; not audited"; \
	else echo "$$log"; exit $$code; fi

# Hours: every fault again and again, the parser and the store against a million odd inputs.
# SOAK_SHARE=0.05 does a twentieth of it; SOAK='-k kill' picks some.
soak: $(VENV)/.installed-dev chromium
	$(PY) -m pytest -m soak -s $(SOAK) tests/app tests/core tests/ingest tests/browser

# The pictures of README and docs, from the simulated exchange.
screenshots: $(VENV)/.installed-dev chromium
	$(PY) docs/screenshots.py

bench: $(VENV)/.installed-bench
	NUMBA_CACHE_DIR=$$(mktemp -d) $(PY) -m benchmarks

# After a change in requirements.txt: its versions stay, those of what they need are the newest.
lock: $(VENV)/.made
	$(PY) -m uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate \
	  --upgrade requirements.txt -o requirements-lock.txt

# Dashboards that tick, API clients and ingestion at once, against a server of its own on loopback.
# LOAD_SECONDS=20 a phase and LOAD_CLIENTS=100 make it shorter and smaller.
load: $(VENV)/.compiled
	$(PY) -m benchmarks.load

$(VENV)/.made:
	@[ -n "$(PYTHON)" ] || { echo "Pairdesk needs Python 3.11: no python3 was found. On Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Pairdesk needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else \
	    echo "Python's venv module is missing. On Debian: sudo apt-get install python3-venv" >&2; exit 1; \
	  fi; }
	@echo "Making the virtual environment with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV) || echo "no uv; pip will do"
	@touch $@

# Each file of each package by its hash, those that others bring along too.
$(VENV)/.installed: requirements-lock.txt $(VENV)/.made
	@echo "Installing what Pairdesk needs"
	@$(call INSTALL,requirements-lock.txt --require-hashes)
	@touch $@

# No first request waits for the compiler: what a start would do in the background is done before.
$(VENV)/.compiled: $(wildcard core/*.py) $(VENV)/.installed
	@echo "Compiling the kernels"
	@# A bad setting is for the start itself to explain.
	@if $(PY) -c "import wsgi; wsgi.server.extensions['pairdesk'].kernels.warm_up()" >/dev/null 2>&1; then touch $@; fi

$(VENV)/.compiled-jobs: $(VENV)/.compiled
	@if $(PY) -m ingest compile; then touch $@; fi

# Once before the tests, on a core each: the kernels of jobs, and all tests' bytecode, which each of five
# processes would make for itself.
$(VENV)/.compiled-tests: $(VENV)/.installed-dev $(VENV)/.compiled
	@echo "Compiling what the tests need"
	@$(MAKE) -s $(VENV)/.compiled-jobs >/dev/null 2>&1 & $(PY) -m pytest --collect-only -q >/dev/null 2>&1; wait
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing what its tests need"
	@$(call INSTALL,requirements-dev.txt)
	@touch $@

$(VENV)/.installed-bench: benchmarks/requirements.txt $(VENV)/.installed
	@echo "Installing the libraries to compare with"
	@$(call INSTALL,benchmarks/requirements.txt)
	@touch $@

# The browser tests drive the system's Chromium; the one without a window costs a third less.
chromium:
	@command -v chromium-headless-shell >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's chromium for the browser tests"; \
	    { apt-get update -qq && { apt-get install -y -qq chromium-headless-shell || apt-get install -y -qq chromium; }; } || \
	      echo "Chromium could not be installed" >&2; \
	  fi; }
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  echo "No Chromium found (apt-get install chromium): browser tests will be skipped" >&2

# The store's tests run a PostgreSQL server of their own; Debian's, on port 5432, is not set up.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's PostgreSQL for the tests, without a cluster"; \
	    mkdir -p /etc/postgresql-common; \
	    [ -e /etc/postgresql-common/createcluster.conf ] || \
	      echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; } || \
	      echo "PostgreSQL could not be installed: its tests will be skipped" >&2; \
	  else \
	    echo "No PostgreSQL found, and only root may install it (apt-get install postgresql): its tests will be skipped" >&2; \
	  fi; }

# A client's limits over several processes are tested with a real one; no service is started.
redis:
	@command -v redis-server >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Debian's Redis for the tests"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server; } || \
	      echo "Redis could not be installed: its tests will be skipped" >&2; \
	  else \
	    echo "No Redis found, and only root may install it (apt-get install redis-server): its tests will be skipped" >&2; \
	  fi; }

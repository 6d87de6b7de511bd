# make scan   install into .venv, then run one morning scan on embedded parts
# make test   install into .venv, then check, try the wheel, and run the tests
# make help   the other targets

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SOURCES := mahler_agents graphs tests bench
# The tools name the real folders at the top, not the links to them in the package.
TYPED := mahler_agents mahler_agents/graphs

# A test may start a process of its own: compiled once, ours starts in four fifths of the time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help scan studio test check docs format wheel-smoke chromium soak bench bench-full clean

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

scan: $(VENV)/.run ## one morning scan: embedded market, model and broker
	@$(BIN)/mahler scan $(ARGS)

test: $(VENV)/.dev ## everything that CI runs
	@$(MAKE) --no-print-directory --jobs=3 check wheel-smoke chromium
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import layers
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/lint-imports

studio: $(VENV)/.run ## the graphs in LangGraph's development server, for LangGraph Studio; on the sample market
	@$(PIP) install -qq --constraint constraints.txt --editable '.[local,studio]'
	LANGGRAPH_CLI_NO_ANALYTICS=1 $(BIN)/langgraph dev --no-browser --no-reload $(ARGS)

format: $(VENV)/.dev ## format and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(VENV)/.dev ## make the tables of docs/ that come from the code anew
	$(BIN)/python -m mahler_agents.record.documentation docs/record.md
	$(BIN)/python -m mahler_agents.settings.documentation docs/configuration.md
	$(BIN)/python -m mahler_agents.verification.documentation docs/verify.md
	$(BIN)/python -m mahler_agents.doctor.documentation docs/doctor.md

wheel-smoke: $(VENV)/.dev ## build sdist and wheel, install the wheel elsewhere, scan from an empty folder
	$(BIN)/python tests/wheel_smoke.py

chromium: ## Debian's browser, in which the tests open the pages that are exported
	@command -v chromium > /dev/null || { \
	  root=; [ "$$(id -u)" = 0 ] || root="sudo -n"; \
	  { $$root apt-get update -qq && \
	    $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	  } > /dev/null 2>&1 || echo "Chromium cannot be installed here: tests that open a page will fail." \
	    "Install Debian's package chromium, so that the command chromium is found." >&2; }

soak: $(VENV)/.dev chromium ## the long suites, at full count
	MAHLER_SOAK=1 $(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.dev ## measure, side by side
	$(BIN)/python -m bench

bench-full: bench ## and the simulated quarter with its profile, and a record of 1,000,000 calls (7.5 GB)
	$(BIN)/python -m bench.simulation 2026-01-02 2026-03-31
	$(BIN)/python -m bench.million_calls

clean: ## remove the environment and what was built
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV): a minute or two the first time"
	@$(PIP) install -qq --constraint constraints.txt --editable '.[local]'
	@$(BIN)/mahler model install
	@touch $@

# All that .run installs, too: one call of pip, and not two.
$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing with the developers' tools into $(VENV): a few minutes the first time"
	@$(PIP) install -qq --constraint constraints.txt --editable '.[local,studio,otel,dev]'
	@$(BIN)/mahler model install
	@touch $(VENV)/.run $@

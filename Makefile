# The commands of this project. Everything they need is installed in this folder; Python 3.11 or newer must be there.

PORT ?= 7071
ARGS ?=
OPERATION ?=
FUZZ ?= 20000
JOBS ?= 2
SEED ?=
SOAK_SECONDS ?= 600

export PYTHON

# The first interpreter that runs and is new enough: a file in PATH may be a stub without a version behind it.
FIND_PYTHON = for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; exit; }; done
BOOT = $(shell $(FIND_PYTHON))
SETUP = @python="$(BOOT)"; \
	test -n "$$python" || { echo 'error: Python 3.11 or newer was not found; install it, or name it: make PYTHON=/path/to/python' >&2; exit 1; }; \
	exec "$$python" -m local.dev.setup
RUN = @exec .venv/bin/python

.PHONY: help demo run rebuild test fuzz soak check format bench setup clean

help: ## Show these lines.
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile | expand -t 14
	@echo
	@echo 'make run PORT=8080       another port than 7071'
	@echo 'make run EPHEMERAL=1     keep nothing; else data are kept in .local/'
	@echo 'make test ARGS="-k word" arguments for pytest; bench and fuzz take ARGS too'
	@echo 'make test JOBS=1         in one process; else in two, each with an emulator of its own'
	@echo 'make ... PYTHON=python   the interpreter to make the environment with'

demo: ## Store, find, retrieve and delete real files, on a service that is gone afterwards.
	$(SETUP)
	$(RUN) -m local.dev.demo

run: ## Run the service on http://127.0.0.1:7071 until Ctrl-C.
	$(SETUP)
	$(RUN) -m local.dev.run --port "$(PORT)" $(if $(filter-out 0 no false,$(EPHEMERAL)),--ephemeral)

rebuild: ## Have the running service make its search index anew, from the archive.
	$(SETUP)
	$(RUN) -m local.dev.rebuild --port "$(PORT)" --operation "$(OPERATION)"

test: ## Run all tests.
	$(SETUP) --worker
	$(RUN) -m pytest -n $(JOBS) --dist worksteal $(ARGS) </dev/null

# The seed makes the same cases again; a test that fails names the files of those that fail.
fuzz: ## Try 20,000 damaged files and requests; FUZZ sets how many, SEED which.
	$(SETUP)
	@seed="$(SEED)"; seed="$${seed:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"; \
	echo "$(FUZZ) cases of seed $$seed"; \
	FUZZ_CASES="$(FUZZ)" FUZZ_SEED="$$seed" exec .venv/bin/python -m pytest tests/fuzz -o faulthandler_timeout=0 \
	--durations=3 $(ARGS) </dev/null

soak: ## Disturb storage and kill the service for 10 minutes; SOAK_SECONDS sets how long, SEED tries one again.
	$(SETUP)
	@SOAK_SECONDS="$(SOAK_SECONDS)" SEED="$(SEED)" exec .venv/bin/python -m tests.faults.soak </dev/null

check: ## Check style, types and which layer imports which.
	$(SETUP)
	$(RUN) -m ruff format --check --quiet . || { echo 'error: run make format' >&2; exit 1; }
	$(RUN) -m ruff check --quiet .
	$(RUN) -m mypy
	$(RUN) .venv/bin/lint-imports --no-cache

format: ## Lay out the code as make check wants it.
	$(SETUP)
	$(RUN) -m ruff format --quiet .
	$(RUN) -m ruff check --quiet --fix .

bench: ## Measure the service and print a table.
	$(SETUP)
	$(RUN) -m bench $(ARGS)

setup: ## Install what the others need, and nothing more.
	$(SETUP) --worker

clean: ## Remove what was installed, and caches; the data in .local/azurite stay.
	@rm -rf .venv .venv-worker .tools node_modules .local/log .local/setup.lock
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name .git -prune -o -type d -name __pycache__ -exec rm -rf {} +

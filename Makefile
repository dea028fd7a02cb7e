# make quickstart   trains on the embedded digits, from a fresh checkout
# make test         runs the fast tests, from a fresh checkout
# make test-all     runs all tests
# make mutate       mutation testing: breaks the code, one line at a time
# make docs         builds the documentation into docs/_build/html
# make linkcheck    checks its links to other sites
# make ledger       scores the released models again and writes docs/results.md
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart install test test-all mutate ledger docs linkcheck format lint types

quickstart: $(VENV)/.installed ## train on handwritten digits for a few minutes on the CPU
	@run=outputs/quickstart/$$(date +%Y-%m-%d_%H-%M-%S) && \
	$(BIN)/python run.py experiment=digits hydra.run.dir=$$run && \
	sed "s|PYTHON|$(BIN)/python|g; s|HERE|$(CURDIR)|g; s|RUN|$$run|g" docs/quickstart.txt

install: $(VENV)/.installed ## make .venv and install requirements.txt

test: $(VENV)/.installed-dev ## run the fast tests: all but whole programs and long training runs
	$(BIN)/python -m pytest -m "not program and not slow" -n auto --maxprocesses 4 --dist worksteal

test-all: $(VENV)/.installed-dev ## run all tests
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

mutate: $(VENV)/.installed-dev ## break the code, one line at a time, and check that a test fails each time
	$(BIN)/python -m tests.mutation --jobs 2

ledger: $(VENV)/.installed ## score every released model again and write docs/results.md
	$(BIN)/python -m bench.ledger

docs: $(VENV)/.installed-docs ## build the documentation into docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html

linkcheck: $(VENV)/.installed-docs ## check the documentation's links to other sites; needs internet access
	$(BIN)/python -m sphinx -q -D nb_execution_mode=off -b linkcheck docs docs/_build/linkcheck

format: $(VENV)/.installed-dev ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.installed-dev ## check style, words and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m tests.words

types: $(VENV)/.installed-dev ## check types
	$(BIN)/mypy

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-codecs.txt requirements-compression.txt \
		requirements-explore.txt requirements-sweeps.txt requirements-tensorboard.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed requirements-docs.txt
	$(BIN)/python -m pip install --quiet -r requirements-docs.txt
	touch $@

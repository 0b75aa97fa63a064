# Three commands: `make journal` (the main job), `make test`, `make site`. All set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin
# Python compiles what it imports, when it does: a quarter of the space and half of the time are saved.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable

.PHONY: journal test test-oldest test-newest test-odd lint bench notebooks lab site setup clean

journal: .venv/ready
	$(BIN)/dmmlab run

# Two tests at a time, or one where there is one core.
test: .venv/test-ready lint
	$(BIN)/python -m pytest -n logical --maxprocesses 2 --dist loadgroup

# The ends of what pyproject.toml declares, each in an environment of its own. TESTS="tests/engine" runs some.
test-oldest:
	tests/versions.sh 3.10 lowest-direct $(TESTS)

test-newest:
	tests/versions.sh 3.13 highest $(TESTS)
	tests/versions.sh 3.14 highest $(TESTS)

# 200 odd command lines and 200 odd notebooks, of which `make test` runs ten; half an hour.
test-odd: .venv/test-ready
	ODD=200 $(BIN)/python -m pytest -n logical --maxprocesses 2 tests/lab/test_odd.py

lint: .venv/test-ready
	$(BIN)/ruff check dmmlab tests notebooks docs
	$(BIN)/ruff format --check dmmlab tests notebooks docs

bench: .venv/bench-ready
	$(BIN)/python tests/bench.py

# Executes the notebooks and keeps their outputs in notebooks/, as they are committed.
notebooks: .venv/ready
	$(BIN)/dmmlab run --in-place

setup: .venv/ready

# Every file in site/ is made anew from what is committed: notebooks are shown as they last ran.
site: .venv/site-ready
	rm -rf build site && mkdir -p build/source
	$(BIN)/sphinx-build -q -n -W --keep-going -c docs -d build/trees build/source build/html
	mv build/html site

lab: .venv/lab-ready
	$(BIN)/jupyter lab notebooks

# Set-up is done again only when pyproject.toml changes; each job adds no more than it needs.
.venv/ready: pyproject.toml
	@echo "setting up .venv: a minute or two, once"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) .
	touch $@

.venv/test-ready: .venv/ready
	$(INSTALL) '.[test,lint,browser,site,lab]'
	touch $@

.venv/site-ready .venv/bench-ready .venv/lab-ready: .venv/%-ready: .venv/ready
	$(INSTALL) '.[$*]'
	touch $@

clean:
	rm -rf .venv .venv-* build site

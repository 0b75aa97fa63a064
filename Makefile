# Two commands: `make journal` (the main job) and `make test`. Both set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: journal test lint bench notebooks lab clean

journal: .venv/ready
	$(BIN)/dmmlab run

test: .venv/ready lint
	$(BIN)/python -m pytest

lint: .venv/ready
	$(BIN)/ruff check dmmlab tests notebooks
	$(BIN)/ruff format --check dmmlab tests notebooks

bench: .venv/bench-ready
	$(ONE_THREAD) $(BIN)/python tests/bench.py

# Executes the notebooks and keeps their outputs in notebooks/, as they are committed.
notebooks: .venv/ready
	$(BIN)/dmmlab run --in-place

lab: .venv/ready
	$(BIN)/jupyter lab notebooks

# Set-up is done again only when pyproject.toml changes.
.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	touch $@

.venv/bench-ready: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv

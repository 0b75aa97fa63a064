# Three commands: `make journal` (the main job), `make test`, `make site`. All set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.PHONY: journal test lint bench notebooks lab site setup clean

journal: .venv/ready
	$(BIN)/dmmlab run

test: .venv/ready lint
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist loadgroup

lint: .venv/ready
	$(BIN)/ruff check dmmlab tests notebooks docs
	$(BIN)/ruff format --check dmmlab tests notebooks docs

bench: .venv/bench-ready
	$(ONE_THREAD) $(BIN)/python tests/bench.py

# Executes the notebooks and keeps their outputs in notebooks/, as they are committed.
notebooks: .venv/ready
	$(BIN)/dmmlab run --in-place

setup: .venv/ready

# Every file in site/ is made anew, from what is committed and the figures that the notebooks keep.
site: .venv/ready
	rm -rf build site && mkdir -p build/source
	$(BIN)/dmmlab figures --format svg --width 7.16
	$(BIN)/sphinx-build -q -n -W --keep-going -c docs -d build/trees build/source build/html
	mv build/html site

lab: .venv/ready
	$(BIN)/jupyter lab notebooks

# Set-up is done again only when pyproject.toml changes.
.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,browser,site]'
	touch $@

.venv/bench-ready: .venv/ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[bench]'
	touch $@

clean:
	rm -rf .venv build site

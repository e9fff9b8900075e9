# Two commands for everybody: `make demo` and `make test`. The others are for those who carry the library on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Each worker takes neighbours, which share kernels and fixtures, and at the end some of what others have left.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
# Few combinations of each test, and few random cases: `make test-all`, and so CI, takes all that are not wide.
PROFILE = quick
USUAL = IM2COL_TEST_PROFILE=$(PROFILE) $(PYTEST) -m "not wide"
# An unknown name or a link that leads nowhere is a warning, and a warning is an error.
SPHINX := $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going

.PHONY: demo cluster-demo test test-all check docs site translations bench mutate fuzz clean

demo: $(VENV)/.demo
	$(BIN)/im2col demo --force

# An image larger than a worker's memory, on dask's cluster of two processes, of which one is killed.
cluster-demo: $(VENV)/.cluster
	$(BIN)/python examples/cluster_demo.py

test: $(VENV)/.test
	$(USUAL) $(COVERAGE)
	@echo "Left out, for 'make test-all': further combinations and random cases, peers, the browser, coverage."

# `make test` first, of all combinations that are not wide, and its coverage is judged; then the wide ones, with more
# random cases. No test runs twice alike.
test-all: PROFILE = default
test-all: COVERAGE = --cov --cov-report=term
test-all: test
	IM2COL_TEST_PROFILE=wide $(PYTEST) -m "wide or hypothesis"

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(USUAL) -q

# The folder `site`, which any static host serves: the pages in English, and in `site/zh` in Chinese.
site: $(VENV)/.docs
	rm -rf site docs/reference/generated docs/gallery
	$(SPHINX) -b html -d build/pages/en docs site
	$(SPHINX) -b html -d build/pages/zh -D language=zh_CN docs site/zh
	touch site/.nojekyll

# The same, judged: every link within it leads somewhere, and every paragraph of a translated page is translated.
docs: site
	$(BIN)/python tools/site_links.py site
	$(SPHINX) -b gettext -d build/pages/words docs build/words
	$(BIN)/python tools/translations.py build/words

translations: $(VENV)/.docs
	$(SPHINX) -b gettext -d build/pages/words docs build/words
	$(BIN)/python tools/translations.py build/words --write

bench: $(VENV)/.bench
	$(BIN)/python -m bench transforms
	$(BIN)/python -m bench frames
	$(BIN)/python -m bench convolution
	$(BIN)/python -m bench gradients
	$(BIN)/python -m bench narrow
	$(BIN)/python -m bench pooling
	$(BIN)/python -m bench networks
	$(BIN)/python -m bench blocks
	$(BIN)/python -m bench calls

mutate: $(VENV)/.test
	$(BIN)/python -m tests.mutate

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --cases 20000
	$(BIN)/python -m tests.fuzz --cases 20000 --arguments

clean:
	rm -rf $(VENV) build dist site docs/reference/generated docs/gallery demo-out bench/out htmlcov .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .kernels .pyodide
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp file for each set of dependencies: pip runs again only when pyproject.toml has changed.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Python 3.11 brings pip 23, which cannot install groups.
$(VENV)/.pip: | $(BIN)/python
	$(PIP) --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[cli,draw]'
	touch $@

$(VENV)/.cluster: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dask]' 'dask[distributed,diagnostics]' zarr
	touch $@

$(VENV)/.test: pyproject.toml | $(VENV)/.pip
	$(PIP) --editable . --group test
	touch $@

$(VENV)/.docs: pyproject.toml | $(VENV)/.pip
	$(PIP) --editable . --group docs
	touch $@

$(VENV)/.bench: pyproject.toml | $(VENV)/.pip
	$(PIP) --editable . --group bench
	touch $@

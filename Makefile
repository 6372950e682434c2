# `make` lists the targets. Each installs what it needs into .venv, once; PYTHON=... chooses the Python that makes it.

PYTHON ?= $(firstword $(foreach name,python3.11 python3 python,$(shell command -v $(name))))
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
comma := ,
# Two processes run the tests. Each begins with one half, in order, so that modules share what they make once.
PARALLEL := -n 2 --dist worksteal
# The I-th of N parts of the cases of each test: a quarter takes less than ten minutes on two cores, all take half an
# hour. Continuous integration runs all of them.
PART ?= 1/4

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TF_CPP_MIN_LOG_LEVEL ?= 3

# A .venv is used again when it was made in this folder, starts, and no install into it was cut short.
VENV_OK := $(shell [ "$$(cat $(VENV)/.made 2>/dev/null)" = "$(CURDIR)" ] && [ ! -e $(VENV)/.installing ] \
	&& $(PY) -c 'import pip' 2>/dev/null && echo yes)

.PHONY: help demo install lint format check test bench mergekit fuzz mutants matrix applications packages wheels lowest docs plots experiments fixtures clean FORCE
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

demo: $(VENV)/.base  ## average ten small checkpoints into build/average.keras and look at it
	@mkdir -p build
	$(BIN)/wtool average fixtures/blobs/*.keras --exp 0.9 --force -o build/average.keras
	@echo
	$(BIN)/wtool inspect build/average.keras
	@echo
	@echo "The new model is $(CURDIR)/build/average.keras"

install: $(VENV)/.full  ## everything: TensorFlow, matplotlib, test and lint tools

lint: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff fix and format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

check: lint  ## lint, types, and an eighth of the tests that need no TensorFlow: about a minute
	$(BIN)/pytest -q $(PARALLEL) -m "not tensorflow and not slow" --part 1/8

test: $(VENV)/.full  ## the test suite, of each test a quarter of its cases; PART=1/1 runs all
	@$(BIN)/pytest $(PARALLEL) --part $(PART)

bench: $(VENV)/.full  ## time wtool against its work and Keras: 18 minutes; WRITE=1 writes docs/bench.md, ONLY=zoo a part
	$(PY) tests/bench/make_models.py build/bench
	$(PY) tests/bench/run.py build/bench $(if $(ONLY),--only $(ONLY)) $(if $(WRITE),--write)

mergekit: $(VENV)/.full  ## install mergekit into an environment of its own, and run the parts of make bench that have it
	[ -x build/mergekit/bin/python ] || $(PY) -m venv build/mergekit
	build/mergekit/bin/python -m pip install --quiet mergekit
	MERGEKIT_PYTHON=$(CURDIR)/build/mergekit/bin/python $(MAKE) bench ONLY=$(or $(ONLY),averages$(comma)merges)

fuzz: $(VENV)/.full  ## 100,000 hostile files against second readers; writes docs/fuzz.md
	$(PY) -m tests.fuzz 100000
	$(PY) -m pip install --quiet --no-deps --target build/readers/keras-3.8.0 keras==3.8.0
	WTOOL_READERS=build/readers/keras-3.8.0 $(PY) -m tests.fuzz_entries 20000 1
	$(PY) -m tests.fuzz_orders 5000

mutants: $(VENV)/.dev  ## break 150 places of each of four rooms, and tell which breaks no test notices
	for room in io hdf5 transforms run; do $(PY) -m tests.mutants $$room --sample 150 || exit 1; done

matrix: $(VENV)/.full  ## try every operation on the models of every Keras version; writes formats.md and convert.md
	$(PY) -m tests.matrix
	$(PY) -m pip install --quiet --no-deps --target build/readers/keras-3.8.0 keras==3.8.0
	WTOOL_READERS=build/readers/keras-3.8.0 $(PY) -m tests.converted

applications: $(VENV)/.full  ## convert the models of tf_keras.applications; writes docs/reference/convert.md
	$(PY) -m tests.converted_applications

packages: $(VENV)/.full  ## try wtool on the models that public packages ship; writes docs/public-models.md
	$(PY) -m tests.public_models

wheels: $(VENV)/.dev  ## build the distributions, and try the wheel in a bare environment of each Python
	$(PY) -m tests.distribution build/distribution

lowest: $(VENV)/.dev  ## a sixteenth of the quick tests with the oldest releases that pyproject.toml admits
	@rm -rf build/lowest
	$(PY) -m pip install --quiet --target build/lowest/uv uv
	PYTHONPATH=build/lowest/uv $(PY) -m uv venv --quiet --python $(PY) build/lowest/venv
	PYTHONPATH=build/lowest/uv $(PY) -m uv pip install --quiet --python build/lowest/venv --resolution lowest-direct \
		--editable '.[test]'
	build/lowest/venv/bin/python -m pytest -q $(PARALLEL) -m "not tensorflow and not slow" --part 1/16

docs: $(VENV)/.dev  ## write the tables of docs/reference/ and the signatures for type checkers, and build build/site
	$(PY) -m tests.from_options
	$(PY) -m tests.examples
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The site is $(CURDIR)/build/site/index.html"

plots: $(VENV)/.full  ## draw the plots of docs/reference/
	$(PY) docs/plots.py

experiments: $(VENV)/.experiments  ## run all of docs/experiments, and say how long each took
	$(PY) -m tests.experiments.run build/experiments

fixtures: $(VENV)/.full  ## train the models of fixtures/ again
	$(PY) fixtures/make_blobs.py

clean:  ## remove everything that make made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The installs: base < dev < full.

define install
	@echo "Installing $(1) into $(VENV) ..."
	@touch $(VENV)/.installing
	@$(PY) -m pip install --quiet --editable '$(1)'
	@rm $(VENV)/.installing
endef

$(VENV)/.made: $(if $(VENV_OK),,FORCE)
	@test -n "$(PYTHON)" || { echo "make: no Python found; give one with PYTHON=..." >&2; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@echo "$(CURDIR)" > $@

$(VENV)/.base: $(VENV)/.made pyproject.toml
	$(call install,.)
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	$(call install,.[dev])
	@touch $(VENV)/.base $@

$(VENV)/.full: $(VENV)/.made pyproject.toml
	$(call install,.[train$(comma)plot$(comma)readers$(comma)dev])
	@touch $(VENV)/.base $(VENV)/.dev $@

$(VENV)/.experiments: $(VENV)/.full
	$(call install,.[experiments])
	@touch $@

FORCE:

# The project's commands. Each sets up .venv first when it is missing or out of date; `make` alone lists them.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
            $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The stamp's name holds a hash of what the environment is made of: it is the content that counts, not file times.
READY := .venv/ready-$(shell { pwd; cat settings.ini setup.py pyproject.toml constraints.txt; } | cksum | tr -d ' ')

TORCH = $(shell sed -n 's/^torch==//p' constraints.txt)
NBDEV = $(shell sed -nE '/^(nbdev|fastcore|execnb|ghapi|fastgit|ipykernel|nbclient|smalldocs)==/p' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: napari-check help setup demo test check check-house test-slow test-outputs test-hold test-validate test-lowest lint dist-check run readme contents film docs docs-check report-check widgets-check bench freeze clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the package, editable, and all it needs

$(READY):
	@'$(or $(PYTHON),python3)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo 'nucleus_cls needs Python 3.11 or newer: install one, or name it as in `make setup PYTHON=/path/to/python3`'; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo 'Making .venv'; $(PYTHON) -m venv --clear .venv; }
	@echo 'Installing the package and what it needs into .venv (minutes the first time)'
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@rm -f .venv/ready-*; touch $@

demo: $(READY) ## simulate, extract, train, evaluate, predict, report: demo/report.html
	@$(BIN)/nucleus_demo --output_dir demo

test: $(READY) ## all checks, every notebook run, the docs built
	@$(BIN)/python tools/checks.py

check: $(READY) ## only the checks that take seconds
	@$(BIN)/python tools/checks.py --quick

check-house: $(READY) ## what is left to do of the house rules (PACKAGE=name: of one package)
	@$(BIN)/python tools/house.py $(PACKAGE)

test-slow: $(READY) ## the notebooks with their slow cells too
	@$(BIN)/python tools/checks.py --only_notebooks --flags slow

test-hold: $(READY) ## kill commands, run them twice, damage their files: nothing is lost or mixed
	@$(BIN)/python tools/hold.py

test-outputs: $(READY) ## what notebooks say against what they have stored (NB=path; none: all, half an hour)
	@$(BIN)/python tools/execute.py --compare $(NB)

readme: $(READY) ## README.md from nbs/index.ipynb
	@$(BIN)/python tools/readme.py

contents: $(READY) ## sidebar and table of chapters from the folders
	@$(BIN)/python tools/contents.py

film: $(READY) ## the film of the front page
	@$(BIN)/python tools/film.py

docs: $(READY) ## the documentation site in _docs/
	@$(BIN)/python tools/docs.py

docs-check: $(READY) ## every page of the site in headless Chromium
	@$(BIN)/python tools/browser.py

report-check: $(READY) ## the page of a movie, used by clicks in headless Chromium
	@$(BIN)/python tools/report_check.py

test-validate: ## results checked by the libraries of others, in an environment of their own
	@'$(PYTHON)' -m venv .venv-validate
	@.venv-validate/bin/python -m pip install -qq --disable-pip-version-check 'torch==$(TORCH)' -r tools/validate.txt -e '.[geff,hdf5,cluster,parallel,onnx,fast]' $(NBDEV)
	@.venv-validate/bin/python tools/checks.py --only_notebooks --flags validate

napari-check: ## the plugin in a real napari, without a screen (needs xvfb and Mesa's OpenGL)
	@'$(PYTHON)' -m venv .venv-napari
	@.venv-napari/bin/python -m pip install -qq --disable-pip-version-check 'torch==$(TORCH)' -e '.[napari]'
	@.venv-napari/bin/npe2 validate nucleus_cls
	@QT_QPA_PLATFORM=offscreen xvfb-run -a .venv-napari/bin/python tools/napari_check.py

widgets-check: ## the widgets in a real JupyterLab in headless Chromium (SHOTS=folder: keep pictures), in an environment of their own
	@'$(PYTHON)' -m venv .venv-widgets
	@.venv-widgets/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e . jupyterlab
	@.venv-widgets/bin/python tools/widgets_check.py $(SHOTS)

test-lowest: ## the notebooks with the lowest versions that settings.ini allows, in an environment of their own
	@'$(PYTHON)' -m venv .venv-lowest
	@.venv-lowest/bin/python tools/lowest.py > .venv-lowest/lowest.txt
	@.venv-lowest/bin/python -m pip install -qq --disable-pip-version-check -c .venv-lowest/lowest.txt -e '.[hdf5,cluster,parallel,zarr,geff,parquet]' hypothesis $(NBDEV)
	@.venv-lowest/bin/python tools/checks.py --only_notebooks

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check --no-cache . && $(BIN)/mypy

dist-check: $(READY) ## wheel and sdist, built and installed into a bare environment
	@$(BIN)/python tools/dist.py

run: $(READY) ## run notebooks and store what they show: make run NB="nbs/02_lineage/06_states.ipynb …"
	@$(BIN)/python tools/execute.py $(NB)

bench: $(READY) ## each stage's time, beside a naive version and its limit: benchmarks/speed.csv
	@$(BIN)/python benchmarks/speed.py

freeze: $(READY) ## constraints.txt from what is installed now
	@{ grep '^#' constraints.txt; $(BIN)/python -m pip freeze --exclude nucleus_cls --exclude setuptools --exclude wheel \
	     | sed 's/+cpu$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## remove what can be made again: .venv, site, demo
	@rm -rf .venv _docs _proc demo *.egg-info build dist

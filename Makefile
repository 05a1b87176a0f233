# The map of the project: what is made from what. `make` alone prints the lines that begin with ##.

## make report                     the whole report with the seed's settings:
##                                 report/build/seed/report.html and report.pdf
## make report PARAMETERS=quick    the same in about a minute: few images, few epochs
## make report EPSILON=0.2 EPOCHS=5    with parameters changed, in a folder of its own
## make test                       everything that is checked: linter, types, tests, notebooks
## make check                      linter and types only
## make reference                  the reference run anew, with the slides' settings
## make lab                        JupyterLab on the notebooks
## make bench                      the benchmark against other libraries and the processor, under
##                                 10 minutes on two idle cores: tests/benchmarks/results.md
## make mutation                   mutants of attacks, methods and evaluation: which of them do the
##                                 tests not notice? mutmut show NAME has a survivor's change
## make audit                      the pinned packages against the known vulnerabilities
## make lock                       requirements.lock anew, from pyproject.toml (with uv)
## make clean                      removes report/build; asks before finished trainings go
## make distclean                  removes .venv as well
##
## Parameters, from make's command line only:
##   PARAMETERS     a parameter set: seed, quick (the files in notebooks/parameters)
##   DATASET        one of MNIST, FashionMNIST, KMNIST
##   IMAGES         how many training images: a whole number of at least 1, or all
##   EPSILON        a finite number of at least 0
##   ALPHA          a number from 0 to 1
##   EPOCHS         a whole number of at least 1
##   BATCH_SIZE     a whole number of at least 1
##   LEARNING_RATE  a finite number above 0
##   MOMENTUM       a number of at least 0 and below 1
##   WEIGHT_DECAY   a finite number of at least 0
##   SEED           a whole number of at least 0 and below 2^63
##
## The environment is .venv, made when it is needed (some minutes, once). To use one that is active
## already, installed by `pip install -r requirements.lock && pip install -e .`:
##   PYTHON=python make report

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

.PHONY: help report reference test check bench mutation lab audit lock clean distclean check-python FORCE
# Notebooks are executed side by side, each with its share of the cores (advlib.notebooks): two
# trainings on a core each are done sooner than one after the other on two.
MAKEFLAGS += --no-builtin-rules --jobs=3
.SUFFIXES:
SHELL := /bin/sh

# The finished trainings, shared by all parameter sets.
export ADVLIB_RUNS := $(CURDIR)/report/build/runs

# ---- Before any work: is there a Python, and do the parameters exist and make sense? ------------

# What stands on the command line, quoted for the shell. (override: so that nothing given there, by
# mistake, replaces these variables.)
override given := $(sort $(foreach v,$(filter-out PYTHON,$(.VARIABLES)),$(if \
    $(filter command,$(origin $v)),'$(subst ','\'',$v=$(value $v))')))
override quote = '$(subst ','\'',$1)'
override stop = $(error stopped before any work)
# What a recipe starts ends with this make (advlib.parent), and is told which one that is.
override run := ADVLIB_MAKE=$(shell echo $$PPID) exec
override goals := $(filter-out help clean distclean lock,$(MAKECMDGOALS))

ifneq ($(goals),)
override found := $(shell sh .make/find-python.sh $(call quote,$(PYTHON)))
$(if $(found),,$(stop))
override name := $(shell $(call quote,$(found)) -m advlib.parameters $(given))
$(if $(name),,$(stop))
$(if $(given),$(if $(filter-out report report/build/%,$(goals)),$(error only make report takes parameters)))
endif

# ---- The environment ----------------------------------------------------------------------------

ifeq ($(PYTHON),)
python := .venv/bin/python
ready := .venv/ready
else
python := $(call quote,$(PYTHON))
ready := check-python
endif

.venv/ready: requirements.lock pyproject.toml
	@$(run) $(call quote,$(found)) .make/environment.py make

ifneq ($(found),.venv/bin/python)
.venv/ready: FORCE # .venv is missing, half made, moved or broken
endif

check-python:
	@$(run) $(python) .make/environment.py check

# ---- The report ---------------------------------------------------------------------------------

folder := report/build/$(name)
notebooks := $(folder)/notebooks
trainings := $(addprefix $(notebooks)/3-training-,standard.ipynb mixed.ipynb adversarial.ipynb)
chapters := $(notebooks)/1-data.ipynb $(notebooks)/2-adversarial-examples.ipynb $(trainings) \
    $(notebooks)/4-transfer.ipynb
matter := $(notebooks)/front-matter.ipynb $(notebooks)/back-matter.ipynb

modules = $(patsubst %,advlib/%.py,$1)

report: $(folder)/report.html $(folder)/report.pdf
	@exec $(python) .make/summary.py $(folder)

report/build/%/report.html report/build/%/report.pdf: $(chapters) $(matter) \
    $(call modules,report files merge parent results) $(wildcard report/style/* report/style/*/*) | $(ready)
	@$(run) $(python) -m advlib.report --quiet $(notebooks) $(folder)

# The reference run: first for its results, which the report quotes (the epoch-wise training), then
# for the report that quotes them.
reference: | $(ready)
	MAKEFLAGS= $(MAKE) report
	@$(run) $(python) -m advlib.reference report/build/seed
	MAKEFLAGS= $(MAKE) report
	@$(run) $(python) -m advlib.reference report/build/seed

# the parameters, rewritten only when they change
$(folder)/parameters.yaml: FORCE | $(ready)
	@exec $(python) -m advlib.parameters --yaml=$@ $(given)

# the executed notebooks; the runner checks and passes the parameters that each names
execute = @$(run) $(python) -m advlib.notebooks $< $@ --parameters $(folder)/parameters.yaml \
    --made-from $^

$(notebooks)/3-training-%.ipynb: notebooks/3-training.ipynb
	$(execute) -p method $*

$(notebooks)/%-matter.ipynb: report/%-matter.ipynb
	$(execute) -p executed ../$(notebooks)

$(notebooks)/%.ipynb: notebooks/%.ipynb
	$(execute)

# Files are whole or not there: make need not delete one when a recipe fails or is interrupted, and
# must not, as another make may just have written it.
.PRECIOUS: $(chapters) $(matter) $(folder)/report.html $(folder)/report.pdf \
    $(folder)/parameters.yaml

$(chapters) $(matter): $(folder)/parameters.yaml requirements.lock | $(ready)
$(matter): $(chapters)

# the chapters that use trained models after their trainings
$(notebooks)/2-adversarial-examples.ipynb: | $(notebooks)/3-training-standard.ipynb
$(notebooks)/4-transfer.ipynb: | $(trainings)

# the modules that each imports, their imports and the data they read included; tests/test_make.py
# compares these lists with the code
library := $(call modules,__init__ parameters files idx data checks attacks methods evaluation) \
    $(wildcard advlib/mnist/*)
training := $(call modules,convolution lenet progress checkpoints identity epochs training runs) \
    $(wildcard advlib/reference/*.safetensors)
showing := $(call modules,captions comparison curves provenance published results tables wording) \
    advlib/published.json $(wildcard advlib/reference/results/*)
figures := $(call modules,figures)

$(notebooks)/1-data.ipynb: $(library) $(showing) $(figures)
$(notebooks)/2-adversarial-examples.ipynb: $(library) $(training) $(showing) $(figures)
$(trainings): $(library) $(training) $(showing) $(figures)
$(notebooks)/4-transfer.ipynb: $(library) $(training) $(showing)
$(notebooks)/back-matter.ipynb: $(call modules,findings)

# ---- Tests --------------------------------------------------------------------------------------

check: | $(ready)
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

test: check
	$(python) -m pytest --cov --cov-report=term tests
	$(python) -m pytest --nbval --nbval-current-env -p no:cacheprovider notebooks report/*.ipynb

bench: | $(ready)
	@PYTHONPATH=tests $(python) -m benchmarks

mutation: | $(ready)
	@rm -rf mutants
	OMP_NUM_THREADS=1 $(python) -m mutmut run
	@$(python) -m mutmut results --all true | sed 's/.*advlib\.\([a-z]*\)\..*: /\1: /' | sort | uniq -c
	@$(python) -m mutmut results

lab: | $(ready)
	@exec $(python) -m jupyterlab --notebook-dir=notebooks --LabApp.news_url=None \
	    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

audit: | $(ready)
	@exec $(python) .make/audit.py

lock:
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-index-url \
	    --custom-compile-command "make lock" pyproject.toml --output-file requirements.lock

# ---- Cleaning -----------------------------------------------------------------------------------

clean:
	@rm -rf mutants
	@exec sh .make/clean.sh

distclean: clean
	rm -rf .venv .venv.lock

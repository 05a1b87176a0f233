# The map of the project: what is made from what. `make` alone prints the lines that begin with ##.

## make report                     the whole report with the slides' settings:
##                                 report/build/seed/report.html and report.pdf
##                                 (seed is the name of the slides' set of parameters)
## make report PARAMETERS=quick    the same in a minute or two: few images, few epochs, and yet the
##                                 effect shows
## make report EPSILON=0.2 EPOCHS=5    with parameters changed, in a folder of its own
## make report METHODS=standard,mine.py:free NETWORK=mine.py:Net DATASET=a/folder    about a training
##                                 method, a network and data of your own
## make report ATTACKS=mine.py:darken    an attack of your own beside ours
## make report PARAMETERS=my/experiment.yaml    all of it from a file
## make compare A=folder B=folder   two reports' settings and percentages side by side; "reference" is
##                                 the reference run. Two numbers differ if they are more than a
##                                 point apart, of few images more than chance explains;
##                                 TOLERANCE=0.5: if more than so much. TABLES=tbl-evaluation,
##                                 fig-curves: all numbers of these, or all.
##                                 Exit status: 0 nothing differs, 1 something, 2 not comparable
## make compare A=folder B=expected    is a report, with the slides' settings or the quick ones, as
##                                 those of other seeds? Exit status: 0 yes, 1 no, 2 not comparable
## make test                       everything that is checked: linter, types, tests, notebooks
## make check                      linter, types and the tests that are not slow
## make coverage                   the tests, and which lines of the library none of them reaches
## make format                     the code as the linter wants it
## make replicate SEEDS=10          the experiment over many seeds, on Dask: how many from 0 on, 3-7 or
##                                 0,4,5; parameters as for the report. What is there is added to.
##                                 SCHEDULER=tcp://...: on a cluster of your own
## make reference                  the reference run anew, with the slides' settings
## make illusions FASHION=folder   what the chapter on illusions shows, computed anew: 7 to 11 hours
##                                 of a core; stopped, it goes on. Without FASHION, a folder
##                                 with Fashion-MNIST's files, they are downloaded
## make lab                        JupyterLab on the notebooks, at the panel to attack by hand
## make picture                    README's pictures of the report and the panel anew, in Chromium
## make bench                      the benchmark against other libraries: tests/benchmarks/results.md
## make mutation                   mutants of attacks, methods and evaluation that no test notices
## make audit                      the pinned packages against the known vulnerabilities
## make lock                       requirements.lock anew, from pyproject.toml (with uv)
## make clean                      removes report/build; asks before finished trainings go
## make distclean                  removes .venv as well
##
## The environment is .venv, made when it is needed (some minutes, once). On Linux torch comes with
## CUDA from the package index, and without it where its own index can be reached and no GPU is
## there; TORCH=cpu wants the latter, TORCH=index the former. To use an environment that is active
## already, installed by `pip install -r requirements.lock && pip install -e .`:
##   PYTHON=python make report

help:
	@sed -n 's/^## \{0,1\}//p' Makefile
	@printf '\nParameters, from make'"'"'s command line only:\n'
	@python=$$(sh .make/find-python.sh) && exec "$$python" -E -m advlib.experiment.parameters --help

.PHONY: help report begun tidy replicate reference illusions compare format lint test check coverage bench mutation lab picture audit lock clean distclean check-python FORCE
# Notebooks are executed side by side, each with its share of the cores (advlib.experiment.runner):
# two trainings on a core each are done sooner than one after the other on two.
MAKEFLAGS += --no-builtin-rules $(if $(ADVLIB_TURN),,--jobs=3)
.SUFFIXES:
SHELL := /bin/sh
# Nobody's Python settings take part, and in .venv nobody's modules.
unexport PYTHONBREAKPOINT PYTHONDEBUG PYTHONHOME PYTHONINSPECT PYTHONOPTIMIZE PYTHONSAFEPATH \
    PYTHONSTARTUP PYTHONUNBUFFERED PYTHONWARNINGS
ifeq ($(PYTHON),)
unexport PYTHONPATH
endif

# ---- Before any work: is there a Python, and do the parameters exist and make sense? ------------

# What stands on the command line, quoted for the shell: a value may have spaces. (override: so that
# nothing given there, by mistake, replaces these variables.)
override given := $(foreach v,$(filter-out PYTHON TORCH,$(.VARIABLES)),$(if \
    $(filter command,$(origin $v)),'$(subst ','\'',$v=$(value $v))'))
override quote = '$(subst ','\'',$1)'
override stop = $(error stopped before any work)
# What a recipe starts ends with this make (advlib.kept.parent), and is told which one that is.
override run := ADVLIB_MAKE='$(ADVLIB_MAKE) $(shell echo $$PPID)' exec
override goals := $(filter-out help clean distclean lock,$(MAKECMDGOALS))

ifneq ($(goals),)
override found := $(shell sh .make/find-python.sh $(call quote,$(PYTHON)))
$(if $(found),,$(stop))
endif

# What an experiment is made from (advlib.experiment.plan): name, methods, chapters, matter,
# typeset_from, and for each notebook its source, the runner's options and what it comes after;
# before this make has its turn (below) the name alone.
ifneq ($(filter report report/build/%,$(goals)),)
override define newline


endef
override plan := $(shell $(call quote,$(found)) -E -m advlib.experiment.plan \
    $(if $(ADVLIB_TURN),,--name) $(given))
$(if $(plan),,$(stop))
$(eval $(subst @@,$(newline),$(plan)))
endif
override takes.compare := A, B, TOLERANCE and TABLES
override takes.illusions := FASHION
ifneq ($(filter replicate,$(goals)),)
$(if $(shell $(call quote,$(found)) -E -m advlib.experiment.parameters --replicate $(given) \
    && echo right),,$(stop))
else ifneq ($(takes.$(goals)),)
override comma := ,
override known := PYTHON TORCH $(subst $(comma),,$(takes.$(goals)))
override unknown := $(foreach v,$(filter-out $(known),$(.VARIABLES)),$(if \
    $(filter command,$(origin $v)),$v))
$(if $(strip $(unknown)),$(error make $(goals) takes $(takes.$(goals)), not $(strip $(unknown))))
else
$(if $(strip $(given)),$(if $(filter-out report report/build/%,$(goals)),$(error only make report takes parameters)))
endif

# ---- The environment ----------------------------------------------------------------------------

ifeq ($(PYTHON),)
python := .venv/bin/python
ready := .venv/ready
else
python := $(call quote,$(PYTHON))
ready := check-python
endif

override extras := report $(if $(filter format lint check test coverage bench picture mutation,$(goals)),test) \
    $(if $(filter mutation,$(goals)),mutation) $(if $(filter audit,$(goals)),setup)
.venv/ready: requirements.lock pyproject.toml
	@$(run) $(call quote,$(found)) .make/environment.py make $(extras)

ifneq ($(found),.venv/bin/python)
.venv/ready: FORCE # .venv is missing, half made, moved or broken
else ifneq ($(TORCH)$(filter-out $(shell sed -n 4p .venv/ready),$(extras)),)
.venv/ready: FORCE # it may lack something
endif

check-python:
	@$(run) $(python) .make/environment.py check

# ---- The report ---------------------------------------------------------------------------------

ifneq ($(name),)
folder := report/build/$(name)
notebooks := $(folder)/notebooks

# Two makes on one report take turns: a make that has its turn decides what there is to do.
ifneq ($(ADVLIB_TURN),$(folder))
$(filter report report/build/%,$(goals)): FORCE | $(ready)
	@+mkdir -p $(folder) && ADVLIB_BEGUN=$$(date +%s) ADVLIB_TURN=$(folder) $(run) $(call quote,$(found)) -E \
	    advlib/kept/parent.py $(folder)/.turn $(MAKE) --no-print-directory $@
else
report: $(folder)/report.html $(folder)/report.pdf
	@exec $(python) -m advlib.published.summary $(folder) $(methods)

report/build/%/report.html report/build/%/report.pdf: $(chapters) $(matter) $(typeset_from)
	@echo typesetting
	@$(run) $(python) -m advlib.report $(notebooks) $(folder)

$(folder)/parameters.yaml: FORCE # rewritten only when they change
	@exec $(python) -m advlib.experiment.parameters --yaml=$@ $(given)

begun: $(folder)/parameters.yaml # says what there is to execute
	@exec $(python) -m advlib.experiment.plan --begin $(given)

$(chapters) $(matter): $(folder)/parameters.yaml requirements.lock | $(filter begun,$(goals:report=begun))
	@$(run) $(python) -m advlib.experiment.runner $(source) $@ \
	    --parameters $(folder)/parameters.yaml $(options) --newer $?

$(matter): | tidy

tidy: $(chapters) # what other notebooks have left there would be read with them
	@rm -f $(filter-out $(chapters) $(matter) %.failed.ipynb,$(wildcard $(notebooks)/*.ipynb))

# Files are whole or not there: make need not delete one when a recipe fails or is interrupted.
.PRECIOUS: $(chapters) $(matter) $(folder)/report.html $(folder)/report.pdf \
    $(folder)/parameters.yaml
endif
endif

# The experiment over many seeds.
replicate: | $(ready)
	@$(run) $(python) -m advlib.experiment.replicate $(given)

# The reference run: first for its results, then for the report that quotes them.
reference: | $(ready)
	MAKEFLAGS= $(MAKE) report
	@$(run) $(python) -m advlib.report.reference report/build/seed
	MAKEFLAGS= $(MAKE) report
	@$(run) $(python) -m advlib.report.reference report/build/seed

# What the chapter on illusions shows.
illusions: | $(ready)
	@$(run) $(python) -m advlib.experiment.illusions $(call quote,$(FASHION))

# ---- Tests --------------------------------------------------------------------------------------

# three files of tests at once, with a thread each: many of them start a make, and wait for it
pytest = OMP_NUM_THREADS=1 $(python) -m pytest -n 3 --dist loadfile --no-loadscope-reorder
# what the linter reads: not what users have beside it
ours = .make advlib conftest.py notebooks report tests
lint: | $(ready)
	$(python) -m ruff check $(ours)
	$(python) -m ruff format --check $(ours)
	$(python) -m mypy

format: | $(ready)
	$(python) -m ruff format $(ours)
	$(python) -m ruff check --fix $(ours)

check: lint
	$(pytest) -m "not slow" tests

test: lint # the notebooks first: one of them at the end would keep a core waiting
	$(pytest) --nbval --nbval-current-env -p no:cacheprovider notebooks report/*.ipynb tests

coverage: | $(ready) # apart: to watch each line makes the tests half as slow again
	$(pytest) --cov --cov-report=term tests

bench: | $(ready)
	@PYTHONPATH=tests $(python) -m benchmarks

mutation: | $(ready)
	@rm -rf mutants
	OMP_NUM_THREADS=1 $(python) -m mutmut run
	@$(python) -m mutmut results --all true | sed 's/.*advlib\.\([a-z]*\)\..*: /\1: /' | sort | uniq -c
	@$(python) -m mutmut results

lab: | $(ready)
	@exec sh .make/lab.sh $(python)

picture: | $(ready) # in Chromium (apt install chromium)
	@PYTHONPATH=. $(python) .make/picture.py

audit: | $(ready)
	$(python) -m uv tool run pip-audit --strict --no-deps --disable-pip -r requirements.lock

lock:
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-index-url \
	    --custom-compile-command "make lock" pyproject.toml --output-file requirements.lock

# make's own exit status is 2 whatever a recipe's is, but 1 under -q where there is something to do;
# what $(shell) prints is taken, so that the comparison writes where this make does.
ifeq ($(goals),compare)
override status := $(shell out=/proc/$$PPID/fd/1; { true >>$$out; } 2>/dev/null || out=/dev/stderr; \
    { $(if $(PYTHON),,$(call quote,$(found)) -E .make/environment.py make $(extras) &&) $(python) \
    $(if $(PYTHON),,-E) -m advlib.results.compare $(call quote,$(A)) $(call quote,$(B)) \
    $(call quote,$(TOLERANCE)) $(call quote,$(TABLES)); } >>$$out; echo $$?)
$(if $(filter 0 1,$(status)),,$(stop))
$(if $(filter 1,$(status)),$(eval MAKEFLAGS += --question))
compare: $(if $(filter 1,$(status)),FORCE)
	@:
endif

# ---- Cleaning -----------------------------------------------------------------------------------

clean:
	@rm -rf mutants
	@exec sh .make/clean.sh

distclean: clean
	rm -rf .venv .venv.lock

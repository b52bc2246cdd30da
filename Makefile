# Two commands do everything, set-up included: make demo, make test. What is sorted into which test command, and how, is in
# CONTRIBUTING.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CPYTHON := 3.13.5
BENCH_SANDBOX := .sandbox-bench
BENCH_JSON := $(BENCH_SANDBOX)/benchmarks.json
BENCH_SVG := $(BENCH_SANDBOX)/benchmarks.svg
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mrjob-pybundle
# These compile CPython, or may: that asks more of a machine than a virtual environment.
COMPILING := demo test test-all test-aws-in-sandbox test-quick test-engines test-pristine bench bench-starts campaign check-machine
# Tests start Pythons by the hundred, which find us compiled then.
unexport PYTHONDONTWRITEBYTECODE
# For two processors: tests wait more than they compute.
PROCESSES := 3
# Of the tests, those to which it matters most who runs them, and that compile nothing.
QUICK_TESTS := tests/sandbox $(addprefix tests/scripts/test_,bootstrap.py check_machine.py unpack.py wrappers.py)

.PHONY: demo test test-all test-aws-in-sandbox test-quick test-engines test-pristine test-aws lint bench bench-starts campaign clean check-machine can-test-engines

# Runs a job twice in the sandbox: the first compiles CPython (a few minutes), the second finds all in the cache.
demo: $(VENV)/.installed
	@tarball=$$(scripts/fetch-cpython-source.sh $(CPYTHON) "$(CACHE)/sources") && \
	$(BIN)/mrjob-pybundle sandbox --dir .sandbox --nodes 2 -- examples/demo.sh $(CPYTHON) "$$tarball"

test: $(VENV)/.installed
	$(BIN)/pytest -n $(PROCESSES)
	@echo "make test-all runs what was left out: the other tests of the whole line, and whatever installs packages"

test-all: $(VENV)/.installed
	$(BIN)/pytest -n $(PROCESSES) -m 'not engines and not pristine'
ifeq ($(filter test-engines,$(MAKECMDGOALS)),)
	@if why=$$(scripts/can-test-engines.sh 2>&1); then why='it is a command of its own, and this machine can run it'; fi; \
	echo "make test-engines (Hadoop, Spark, pristine nodes) was left out: $$why"
endif

test-quick: $(VENV)/.installed
	$(BIN)/pytest -n 2 $(QUICK_TESTS)

# On Hadoop and Spark themselves, which need Java, and Maven to fetch Hadoop; and on nodes that have nothing, see below.
# The first run compiles three Pythons. Before the tests, an empty sandbox says it if this machine lacks something.
test-engines: can-test-engines $(VENV)/.installed
	@scripts/fetch-hadoop.sh >/dev/null
	@scripts/fetch-spark.sh >/dev/null
	@$(BIN)/mrjob-pybundle sandbox --dir "$(CACHE)/engines" --engine hadoop -- true
	$(BIN)/pytest -n 2 -m '(engines or pristine)$(if $(filter whole,$(MATRIX)),, and not whole)' tests/engines tests/pristine

can-test-engines:
	@scripts/can-test-engines.sh

# On nodes that have nothing: needs root and debootstrap, which it installs. The first run compiles two Pythons, with
# MATRIX=whole all of tests/pristine/conftest.py's.
MATRIX ?=
test-pristine: $(VENV)/.installed
	MATRIX=$(MATRIX) $(BIN)/pytest -m pristine tests/pristine

# On your AWS account, which costs something: it says how much, and asks. SELFTEST='--dry-run' only says it.
SELFTEST ?=
test-aws: $(VENV)/.installed
	$(BIN)/mrjob-pybundle selftest $(SELFTEST)

# The same, on the sandbox: every case.
test-aws-in-sandbox: $(VENV)/.installed
	$(BIN)/pytest -m whole tests/line/test_selftest.py -k test_every_case

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck --external-sources --exclude SC2016 .ci/run .ci/as-others $$(git ls-files '*.sh' '*.sh.tmpl')

# Figures, not tests. The first run builds an optimized CPython: a quarter of an hour and more. QUICK=1 makes do with a
# plain one, and measures less often.
bench: $(VENV)/.installed
	@tarball=$$(scripts/fetch-cpython-source.sh $(CPYTHON) "$(CACHE)/sources") && \
	$(BIN)/mrjob-pybundle sandbox --dir $(BENCH_SANDBOX) --nodes 1 -- \
	  $(BIN)/python benchmarks/run.py "$$tarball" --json $(BENCH_JSON) $(if $(QUICK),--quick)
	$(BIN)/python benchmarks/chart.py $(BENCH_SVG) $(BENCH_JSON)
	$(if $(QUICK),,$(MAKE) bench-starts)

# What a person waits for where clusters take a minute to start. Twenty minutes.
START_SECONDS ?= 60
bench-starts: $(VENV)/.installed
	@tarball=$$(scripts/fetch-cpython-source.sh $(CPYTHON) "$(CACHE)/sources") && \
	$(BIN)/mrjob-pybundle sandbox --dir $(BENCH_SANDBOX)-starts --nodes 1 --start-seconds $(START_SECONDS) -- \
	  $(BIN)/python benchmarks/starts.py "$$tarball" $(START_SECONDS) --json $(BENCH_SANDBOX)-starts/starts.json

# Hundreds of runs of the whole line, each with damage of its own: CAMPAIGN='--seed 1 --runs 200' or '--replay 17'.
CAMPAIGN ?=
campaign: $(VENV)/.installed
	$(BIN)/python -m tests.campaign.run --dir .sandbox-campaign $(CAMPAIGN)

# Says what is missing before anything is made. What it fetches, the source, is looked for first by all that need it.
check-machine:
	@scripts/check-machine.sh "$(PYTHON)" \
	  $(if $(filter $(COMPILING),$(or $(MAKECMDGOALS),demo)),$(CPYTHON) "$(CACHE)/sources")

$(VENV)/.installed: setup.py | check-machine
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[test,release]'
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(BIN)/pip install --quiet -e '.[lint]'
	touch $@

clean:
	rm -rf $(VENV) .sandbox .sandbox-bench .sandbox-bench-starts .sandbox-campaign

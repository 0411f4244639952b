# zlh-edge: build, run, test, measure. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.NOTPARALLEL:

SWIFT ?= swift
VENV := .venv
BINARY := .build/release/zlh-edge
# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 60
# Arguments for pytest, such as PYTEST_ARGUMENTS='-x -k reload'.
PYTEST_ARGUMENTS ?=
# Arguments for every script of bench/, such as BENCH_ARGUMENTS='--rounds 9'.
BENCH_ARGUMENTS ?=

BUILD_PACKAGES := libnghttp2-dev libssl-dev libyaml-dev zlib1g-dev
TEST_PACKAGES := python3 python3-venv curl openssl chromium firefox-esr nginx haproxy lighttpd gcc nghttp2-client pebble lego faketime shellcheck
BENCH_PACKAGES := python3 openssl curl nginx libnginx-mod-stream haproxy wrk nghttp2-client valgrind binutils

# Installs what is missing of some Debian packages, and says so; does nothing, offline too, when all are there.
define install
	missing=()
	for package in $(1); do
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package)
	done
	if [ $${#missing[@]} -gt 0 ]; then
		echo "installing $${missing[*]}"
		root=()
		if [ "$$(id -u)" -ne 0 ]; then root=(sudo); fi
		"$${root[@]}" apt-get update -q
		"$${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$${missing[@]}"
	fi
endef

.PHONY: help
help: ## lists these targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: setup
setup: ## installs the -dev packages that the build needs and this machine lacks
	@command -v $(SWIFT) >/dev/null || { echo "no Swift toolchain found: see https://www.swift.org/install/linux" >&2; exit 1; }
	$(call install,$(BUILD_PACKAGES))

.PHONY: setup-test
setup-test: setup $(VENV)/ready ## also what the tests need: browsers, peers, a Python environment

$(VENV)/ready: Tests/EndToEnd/requirements.txt
	@$(call install,$(TEST_PACKAGES))
	python3 -m venv --clear $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r $<
	touch $@

.PHONY: build
build: setup ## the release build, .build/release/zlh-edge
	$(SWIFT) build -c release --product zlh-edge

.PHONY: run
run: build ## builds and starts the demo, nothing to configure
	@exec $(BINARY) demo

.PHONY: lint
lint: ## checks the format of all Swift code
	$(SWIFT) format lint --strict -r Package.swift Sources Tests

.PHONY: test
test: setup-test lint ## every test: Swift suites, then end to end against the release build
	$(SWIFT) test
	$(SWIFT) build -c release --product zlh-edge
	$(VENV)/bin/python -m pytest Tests/EndToEnd $(PYTEST_ARGUMENTS)

.PHONY: soak
soak: setup-test build ## the end-to-end tests with their long variants
	$(VENV)/bin/python -m pytest Tests/EndToEnd --soak

# Leaks that the test runner itself leaves are not ours to report. The thread sanitizer does not see the lock inside
# Swift's Mutex and calls what it guards a race, so it runs the suites that have none of those under contention.
.PHONY: sanitize
sanitize: setup ## the Swift tests under the address and the thread sanitizer
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-asan
	$(SWIFT) test --sanitize=thread --scratch-path .build-tsan --filter 'WireTests|ReactorTests|TransportTests'

.PHONY: sanitize-short
sanitize-short: setup ## the address sanitizer on what holds unsafe code and parsers
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-asan \
		--filter 'WireTests|HTTP2Tests|CompressionTests|ReactorTests|TLSTests|TransportTests|GatewayTests'

.PHONY: fuzz
fuzz: setup ## feeds the parsers random bytes, FUZZ_SECONDS (60) each
	Tests/Fuzz/run.sh $(FUZZ_SECONDS)

.PHONY: bench
bench: build ## side by side with nginx and HAProxy
	@$(call install,$(BENCH_PACKAGES))
	for script in bench/*.sh; do echo "== $$script"; $$script $(BENCH_ARGUMENTS); done

.PHONY: clean
clean: ## removes what was built
	rm -rf .build .build-asan .build-tsan .build-fuzz $(VENV)

# The recipes that people and CI run alike. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# What the build itself needs, beside a Rust toolchain.
BUILD_PACKAGES := gcc g++ make pkg-config protobuf-compiler libprotobuf-dev
# Python tools that tests and lints run, in a folder of their own.
VENV := target/venv
BUF_VERSION := 1.75.0
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
NEXTEST_VERSION := 0.9.143
FUZZ_SECONDS ?= 15
CHAOS_SECONDS ?= 60
FUZZ_TARGETS = $(notdir $(basename $(wildcard tests/fuzz/targets/*.rs)))
TOOLS := $(CURDIR)/target/tools
# Where cargo builds, for those who keep it elsewhere.
BUILT := $(or $(CARGO_TARGET_DIR),target)

export PATH := $(TOOLS)/bin:$(PATH)

## up: build and run the whole system on this machine
.PHONY: up
up: packages-build
	cargo build --release -p millrace
	$(BUILT)/release/millrace up

## test: everything that CI runs: lints, unit, property, end-to-end and fuzz tests
.PHONY: test
test: packages lint docs test-rust examples fuzz
	@echo "make test: all passed"

## test-rust: unit, property and end-to-end tests
.PHONY: test-rust
test-rust: packages nextest
	cargo build --workspace --bins
	cargo nextest run --workspace --profile ci
	cargo test --workspace --doc

## lint: formatting, clippy, licences, the contract's style and compatibility
.PHONY: lint
lint: packages-build deny $(VENV)/bin/buf
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny check licenses bans sources
	cd proto && ../$(VENV)/bin/buf lint
	cd proto && ../$(VENV)/bin/buf breaking --against released.binpb

## docs: the API documentation, with every broken link an error
.PHONY: docs
docs: packages-build
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

## examples: the shipped example configurations, through the real programs
.PHONY: examples
examples: packages-build
	cargo build --workspace --bins
	set -e; for file in docs/examples/gateway*.toml; do echo "$$file"; $(BUILT)/debug/conduit-gateway --config "$$file" --check; done
	set -e; for file in docs/examples/mpd-node*.toml; do echo "$$file"; $(BUILT)/debug/mpd-node --config "$$file" --check; done
	set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; examples="$$PWD/docs/examples/tls"; built="$$(realpath $(BUILT))/debug"; cd "$$folder"; \
	  "$$built/millrace" certs gateway-1.mail.example,127.0.0.1 node-1.mail.example,127.0.0.1 > made; \
	  "$$built/conduit-gateway" --config "$$examples/gateway.toml" --check; "$$built/mpd-node" --config "$$examples/mpd-node.toml" --check

## fuzz: FUZZ_SECONDS (15) of each fuzz target
.PHONY: fuzz
fuzz: packages-build cargo-fuzz
	tests/fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

## chaos: kill, stop and change a cluster under load for CHAOS_SECONDS (60), and count at both ends
.PHONY: chaos
chaos: packages
	cargo build --workspace --bins
	CHAOS_SECONDS=$(CHAOS_SECONDS) cargo test -p millrace-tests --test chaos -- --nocapture

## bench: the cost of a message against a filter that does nothing, in one run
.PHONY: bench
bench: packages
	bench/run
	cargo bench -p millrace-quarantine --bench keep
	cargo bench -p mpd-node --bench unkept
	bench/listing
	cargo bench -p conduit-gateway --bench fairness

## bench-cluster: what several nodes cost, and what it costs when one of them dies or stops
.PHONY: bench-cluster
bench-cluster: packages
	bench/cluster

## packages: install the Debian packages that are missing, and say which
.PHONY: packages packages-build
packages:
	tests/install-packages $(BUILD_PACKAGES) $$(sed 's/#.*//' tests/packages.txt)
	# The corpus of real mail comes from npm's registry; npm may be there without being Debian's.
	@command -v npm >/dev/null || tests/install-packages npm
packages-build:
	tests/install-packages $(BUILD_PACKAGES)

$(VENV)/bin/buf:
	tests/install-packages python3-venv
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet buf-bin==$(BUF_VERSION)

.PHONY: deny nextest cargo-fuzz
deny:
	@cargo deny --version >/dev/null 2>&1 || cargo install --debug --locked --root $(TOOLS) cargo-deny@$(DENY_VERSION)
nextest:
	@cargo nextest --version >/dev/null 2>&1 || cargo install --locked --root $(TOOLS) cargo-nextest@$(NEXTEST_VERSION)
cargo-fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --debug --locked --root $(TOOLS) cargo-fuzz@$(FUZZ_VERSION)

## qmail: the static programs for a qmail host, in target/qmail
# Each starts anew for each message: without relocations, and without what is not needed, there is less to map. musl does
# not ask the processor for its caches at the start, as glibc does, which costs most of all on a virtual machine.
MUSL := $(shell uname -m)-unknown-linux-musl
STATIC := -C target-feature=+crt-static -C relocation-model=static --cfg getrandom_backend=\"linux_raw\"
.PHONY: qmail
qmail: packages-build
	tests/install-packages musl-tools
	@ls "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" >/dev/null 2>&1 || rustup target add $(MUSL)
	RUSTFLAGS="$(STATIC)" CC_$(subst -,_,$(MUSL))=musl-gcc cargo build --profile conduit -p millrace-qmail --target $(MUSL) --target-dir target/static
	install -s -D -t target/qmail $(addprefix target/static/$(MUSL)/conduit/,millrace-qmail-queue millrace-dot-qmail millrace-qmail-install)

## bench-qmail: what millrace-qmail-queue costs before qmail-queue, against a program that does nothing
.PHONY: bench-qmail
bench-qmail: qmail
	MILLRACE_QMAIL_QUEUE=$(CURDIR)/target/qmail/millrace-qmail-queue cargo bench -p millrace-qmail --bench queue

## clean: remove what was built
.PHONY: clean
clean:
	cargo clean

## help: this list
.PHONY: help
help:
	@sed -n 's/^## /  make /p' $(MAKEFILE_LIST)

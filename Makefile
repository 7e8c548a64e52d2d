# VPN Manager: what people and CI type. Everything is cargo underneath; `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all

CARGO ?= cargo
NODES ?= 2
RUN   := $(CURDIR)/target/run
OUT   := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)

# Where and what `make install` copies. A package maker sets DESTDIR; CARGO_PROFILE=dev takes the builds of `make all`.
PREFIX        ?= /usr/local
CARGO_PROFILE ?= release
BUILT         := $(OUT)/$(if $(filter dev,$(CARGO_PROFILE)),debug,$(CARGO_PROFILE))

TESTBED := $(CARGO) run --quiet --package vpnmanager-testbed --bin vpnmanager-testbed --
BINS    := $(CARGO) build --workspace --bins
STACK   := --home $(RUN) $(if $(NAME),--name $(NAME))

.PHONY: all build-endnode build-management install config run-management run-endnode \
        demo up down client stop start test quick-start bench chaos lint prerequisites help

all: build-management build-endnode ## Build both services

build-endnode: ## Build the agent of a node: target/debug/vpnmanager-endnode
	@$(CARGO) build --package vpnmanager-endnode --bins

build-management: ## Build the management service: target/debug/vpnmanager-management
	@$(CARGO) build --package vpnmanager-management --bins

install: ## Build both services optimised and copy them: [PREFIX=/usr/local] [DESTDIR=] [CARGO_PROFILE=release|dev]
	@$(CARGO) build --profile $(CARGO_PROFILE) --package vpnmanager-management --package vpnmanager-endnode --bins
	@install -d "$(DESTDIR)$(PREFIX)/bin"
	@for service in management endnode; do \
	    install -m 755 $(BUILT)/vpnmanager-$$service "$(DESTDIR)$(PREFIX)/bin/"; \
	    echo "$(DESTDIR)$(PREFIX)/bin/vpnmanager-$$service"; \
	done

config: all ## Write sample management-config.json and endnode-config.json, unless they exist
	@for service in management endnode; do \
	    file=$$service-config.json; \
	    if [ -e $$file ]; then echo "$$file exists: left as it is"; continue; fi; \
	    (umask 077; $(OUT)/debug/vpnmanager-$$service config-sample >$$file.new); \
	    mv $$file.new $$file; echo "$$file written"; \
	done

run-management: build-management ## Run management with management-config.json and the environment
	@exec $(OUT)/debug/vpnmanager-management

run-endnode: build-endnode ## Run a node's agent with endnode-config.json and the environment
	@exec $(OUT)/debug/vpnmanager-endnode

demo: prerequisites ## Show the main job with real tunnels, from creating a user to cutting her off
	@$(BINS)
	@exec $(OUT)/debug/vpnmanager-testbed demo

up: prerequisites ## Start a stack and leave it running: [NODES=2] [NAME=other]
	@$(BINS)
	@$(OUT)/debug/vpnmanager-testbed up $(STACK) --nodes $(NODES)

down: ## Stop that stack and remove what it left: [NAME=other]
	@$(TESTBED) down $(STACK)

client: ## Connect an OpenVPN client to it, in front: PROFILE=x.ovpn [NETNS=name]
	@test -n "$(PROFILE)" || { echo "usage: make client PROFILE=x.ovpn [NETNS=name]" >&2; exit 2; }
	@$(CARGO) build --quiet --package vpnmanager-testbed --bins
	@exec $(OUT)/debug/vpnmanager-testbed client $(STACK) "$(PROFILE)" $(if $(NETNS),--netns $(NETNS))

stop: ## Stop one part of it: WHAT=management|nats|postgres|node-N|openvpn-N [HOW=kill]
	@test -n "$(WHAT)" || { echo "usage: make stop WHAT=management|nats|postgres|node-N|openvpn-N [HOW=kill]" >&2; exit 2; }
	@$(TESTBED) stop $(STACK) $(WHAT) $(if $(HOW),--how $(HOW))

start: ## Start one part of it: WHAT=management|nats|postgres|node-N|openvpn-N
	@test -n "$(WHAT)" || { echo "usage: make start WHAT=management|nats|postgres|node-N|openvpn-N" >&2; exit 2; }
	@$(TESTBED) start $(STACK) $(WHAT)

test: prerequisites lint ## Check everything, with real PostgreSQL, nats-server and OpenVPN
	@$(BINS)
	@$(CARGO) test --workspace

lint: ## Formatting, clippy, rustdoc and the one TLS provider, with warnings as errors
	@{ $(CARGO) fmt --version && $(CARGO) clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --workspace --all-targets --quiet -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --quiet
	@tree=$$($(CARGO) tree --workspace --edges all --prefix none --format '{p}'); \
	if grep -E '^(ring|openssl-sys|native-tls) ' <<<"$$tree"; then \
	    echo "a second TLS provider came in: \`cargo tree --invert\` tells how" >&2; exit 1; \
	fi

quick-start: prerequisites ## Follow the quick start of README.md word for word, on three machines made of namespaces
	@services/testbed/quick_start.sh

bench: prerequisites ## Measure against the floor, release build, fsync on: [BENCH_SECONDS=30] [RATE=50] [CLIENTS=32]
	@$(CARGO) build --release --workspace --bins
	@exec $(OUT)/release/vpnmanager-testbed bench --out $(OUT)/bench \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(if $(RATE),--rate $(RATE)) $(if $(CLIENTS),--clients $(CLIENTS))

chaos: prerequisites ## Break everything at random and check that all came true: [SEED=1] [SEEDS=1] [DURATION=60s] [NODES=2]
	@$(BINS)
	@exec $(OUT)/debug/vpnmanager-testbed chaos --out $(OUT)/chaos --nodes $(NODES) \
	    $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(DURATION),--duration $(DURATION))

prerequisites:
	@services/testbed/prerequisites.sh

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

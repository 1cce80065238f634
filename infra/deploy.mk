# The operator's commands. They need AWS credentials, in any form that AWS's tools accept, and install everything else.

# SAM writes the answers of a guided deployment to this file: stack name, region, parameters. It belongs to the operator's
# account, so git ignores it. SAM never writes NoEcho parameters to it; CloudFormation keeps their last value.
SAMCONFIG := $(CURDIR)/samconfig.toml
remembered = $(shell sed -n 's/^$(1) = "\(.*\)"$$/\1/p' '$(SAMCONFIG)' 2>/dev/null | head -n 1)

DEPLOYED := $(or $(STACK),$(call remembered,stack_name),agent-heartbeat)

# Some of AWS's tools read one of these variables, some the other.
REGION := $(or $(AWS_REGION),$(AWS_DEFAULT_REGION),$(call remembered,region))
in_region = env $(if $(REGION),AWS_REGION=$(REGION) AWS_DEFAULT_REGION=$(REGION))
AWS = $(in_region) $(PYTHON_TOOLS)/aws
SAM = $(in_region) $(PYTHON_TOOLS)/sam
output = AWS="$(AWS)" STACK='$(DEPLOYED)' infra/output $(1)

# Guided: with GUIDED=1, or if there are no settings yet and a person can answer. SAM needs the file to exist.
deploy_how = if [ -n '$(GUIDED)' ] || { [ -z "$$PARAMETERS" ] && [ ! -s '$(SAMCONFIG)' ] && [ -t 0 ]; }; \
	then touch '$(SAMCONFIG)'; set -- --guided --config-file '$(SAMCONFIG)'; \
	else set -- --no-fail-on-empty-changeset; \
		if [ -s '$(SAMCONFIG)' ]; then set -- "$$@" --config-file '$(SAMCONFIG)'; else set -- "$$@" --no-confirm-changeset; fi; \
	fi; \
	if [ -n "$$PARAMETERS" ]; then set -- "$$@" --parameter-overrides "$$PARAMETERS"; fi

# RELEASE=v… deploys what .github/workflows/release.yml built, so that no Rust is needed here. A fork sets RELEASE_URL, or
# its address in Cargo.toml.
RELEASE_URL ?= $(shell sed -n 's/^repository = "\(.*\)"$$/\1/p' Cargo.toml)/releases/download/$(RELEASE)
RELEASE_ARCH := $(ARCH:aarch64=arm64)
RELEASED := target/releases/$(RELEASE)
TEMPLATE = $(if $(RELEASE),$(RELEASED)/template-$(RELEASE_ARCH).yaml,infra/template.yaml)

.PHONY: downloaded
downloaded:
	@$(if $(filter v%,$(RELEASE)),,echo 'RELEASE is `$(RELEASE)`: name a release, such as v0.1.0' >&2; exit 1;) \
	$(if $(BESIDE),echo "A release's functions do not contain $(BESIDE): parameters that name it need a build of your own" >&2;) \
	echo 'Downloading $(RELEASE) ($(RELEASE_ARCH)) from $(RELEASE_URL)' >&2; \
	python3 -B infra/release.py download '$(RELEASE_URL)' '$(RELEASE_ARCH)' '$(RELEASED)'

# Without BESIDE: a release must not contain the list of repositories of whoever makes it.
RELEASE_FILES := target/release-files

.PHONY: release-files
release-files: ## Build both architectures and collect what a release holds in target/release-files
	@rm -rf $(RELEASE_FILES)
	$(MAKE) build ARCH=arm64 BESIDE=
	python3 -B infra/release.py add target/lambda arm64 $(RELEASE_FILES)
	$(MAKE) build ARCH=x86_64 BESIDE=
	python3 -B infra/release.py add target/lambda x86_64 $(RELEASE_FILES)

# PARAMETERS goes through the environment, because it may contain quotes.
.PHONY: deploy
deploy: export PARAMETERS := $(PARAMETERS)
deploy: $(if $(RELEASE),downloaded,build) $(PYTHON_TOOLS)/installed ## Deploy (RELEASE=v… needs no Rust): asks the first time or with GUIDED=1; PARAMETERS='Name=value …' or file://….yaml does not ask
	@$(if $(filter-out arm64,$(ARCH)),echo 'These functions are built for $(ARCH): set the parameter Architecture to it.' >&2;) \
	$(deploy_how); $(SAM) deploy --template-file $(TEMPLATE) --stack-name '$(DEPLOYED)' \
		--capabilities CAPABILITY_IAM --resolve-s3 "$$@"

.PHONY: destroy
destroy: $(PYTHON_TOOLS)/installed ## Delete the stack, but not its table
	@table=$$($(call output,TableName)) || exit 1; \
	$(SAM) delete --stack-name '$(DEPLOYED)' $(if $(REGION),--region '$(REGION)') $(if $(YES),--no-prompts) || exit 1; \
	echo "If the stack is deleted, the table $$table is kept. To delete it with all records of heartbeats:" >&2; \
	echo "  $(AWS) dynamodb update-table --no-deletion-protection-enabled --table-name $$table" >&2; \
	echo "  $(AWS) dynamodb delete-table --table-name $$table" >&2; \
	echo 'To deploy again with a new table and a new token: make deploy GUIDED=1' >&2

SINCE ?= 10m

.PHONY: logs
logs: $(PYTHON_TOOLS)/installed ## Follow both functions' logs, from SINCE=10m ago
	@api=$$($(call output,ApiLogGroup)) && schedule=$$($(call output,ScheduleLogGroup)) && \
	$(SAM) logs --cw-log-group "$$api" --cw-log-group "$$schedule" --start-time '$(SINCE) ago' --tail

# The secret is a plain token or JSON with several. Of those that may send heartbeats, this prints the newest for all
# agents, or else the newest.
token = id=$$($(call output,AgentTokensSecret)) && secret=$$($(AWS) secretsmanager get-secret-value --secret-id "$$id" \
	--query SecretString --output text) && printf %s "$$secret" | $(PYTHON) -c 'import json, sys; secret = sys.stdin.read().strip(); \
	entries = json.loads(secret)["tokens"] if secret.startswith("{") else [{"token": secret, "agents": ["*"]}]; \
	entries = [entry for entry in entries if "beat" in (entry.get("may") or ["beat"])] or sys.exit("no token may send heartbeats"); \
	print([*entries, *(entry for entry in entries if "*" in entry["agents"])][-1]["token"])'

.PHONY: token
token: $(PYTHON_TOOLS)/installed ## Print the token that agents send with heartbeats
	@$(token)

HOURS ?= 24

.PHONY: rotate-token
rotate-token: $(PYTHON_TOOLS)/installed ## Create and print a new token for AGENT=… (alpha, ci-* or *); the old one expires in HOURS=24; MAY=read: one that reads
	@test -n '$(AGENT)' || { echo "Name the agent, or * for all: make rotate-token AGENT='*'" >&2; exit 1; }
	@id=$$($(call output,AgentTokensSecret)) && $(in_region) $(PYTHON) infra/rotate_token.py "$$id" '$(AGENT)' '$(HOURS)' '$(MAY)'

# curl reads the token from standard input, because every user of the machine can see a command's arguments.
.PHONY: beat
beat: $(PYTHON_TOOLS)/installed ## Send a heartbeat as AGENT=… to the deployed service
	@test -n '$(AGENT)' || { echo 'Name the agent: make beat AGENT=alpha' >&2; exit 1; }
	@url=$$($(call output,Url)) && token=$$($(token)) && printf 'Authorization: Bearer %s\n' "$$token" \
		| curl --silent --show-error --fail-with-body --max-time 40 --header @- --request POST \
			"$$url/api/agents/$(AGENT)/heartbeat" && echo

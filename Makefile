# Four verbs shared by people and CI: check, test, proto, demo; the benchmarks beside them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FAISS ?= cpu
PROTOS := $(wildcard proto/wordspot/*/*.proto)
ROOT := $(CURDIR)
# The tools by absolute path, for what runs in another folder.
TOOLS := $(abspath $(BIN))

.PHONY: help install demo test check proto bench bench-retrieval bench-scale bench-serving clean

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/.installed ## the package with its tools in $(VENV)

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[$(FAISS),video,dev]'
	touch $@

demo: install ## start the services, index the sample archive, ask five spoken queries
	$(BIN)/python deploy/demo/run.py

test: install ## the tests, under ten minutes on two cores
	$(BIN)/python -m pytest -m 'not slow'

check: install ## lint, types, import contracts, contract lint, stubs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typed build/lib && $(BIN)/python -m pip install --quiet --no-deps --target build/typed .
	cd build/typed && MYPYPATH=. $(TOOLS)/mypy --config-file $(ROOT)/pyproject.toml \
		--cache-dir $(ROOT)/build/mypy --python-executable $(TOOLS)/python -p wordspot
	cd build/typed && PYTHONPATH=. $(TOOLS)/lint-imports --config $(ROOT)/pyproject.toml --no-cache
	cd proto && $(TOOLS)/buf lint
	rm -rf build/stubs && mkdir -p build/stubs
	$(call generate,build/stubs)
	@for f in $$(cd build/stubs && find . -name '*_pb2*'); do \
		cmp "build/stubs/$$f" "proto/$$f" || { echo "stubs are stale: run make proto"; exit 1; }; done

proto: install ## regenerate the stubs from proto/
	$(call generate,proto)

bench: bench-retrieval bench-scale bench-serving ## every benchmark

bench-retrieval: install ## retrieval quality and speed on the development archive
	$(BIN)/python -m tests.bench.retrieval

bench-scale: install ## indexing speed, memory, search latency, approximate recall
	$(BIN)/python -m tests.bench.scale

bench-serving: install ## throughput, overhead, hot swap and memory of the model service
	$(BIN)/python -m tests.bench.serving

clean: ## what the other targets made
	rm -rf build dist *.egg-info $(VENV)

define generate
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(PROTOS)
endef

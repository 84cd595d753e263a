# Verbs shared by people and CI: check, test, demo, docs; beside them what makes generated files, and the benchmarks.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of the demo: search alone, as `pip install wordspot` brings it.
DEMO_VENV ?= build/demo-venv
# Options of the fuzzer, such as --seed 7 --inputs 1000 --seconds 0 --target decode.
FUZZ ?=
# Options of the faults, such as --seed 7 --faults 100 --kills 50 --rot 4 --losses 50.
FAULTS ?=
# Of the distributions: wordspot, its client alone, the weights of its models.
PROJECTS := pyproject.toml deploy/client/pyproject.toml deploy/models/pyproject.toml
PROTOS := $(wildcard proto/wordspot/*/*.proto)
# Of tests, side by side; a thread each.
WORKERS ?= 2
PIN = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links --no-emit-package wordspot --no-emit-package wordspot-client \
	--no-emit-package wordspot-models --custom-compile-command 'make lock' --quiet
# The versions that development has.
AS_TESTED := --constraints requirements-dev.lock
# The tools by absolute path, for what runs in another folder.
TOOLS := $(abspath $(BIN))

.PHONY: help debian install demo wheels test check docs proto page picture lock sbom bench bench-retrieval bench-scale bench-serving bench-faults fuzz clean

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/.installed ## the package with its tools in $(VENV)

$(VENV)/.installed: $(PROJECTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable deploy/client --editable deploy/models \
		--editable '.[models,video,dev,docs]'
	touch $@

debian: ## what some tests need of Debian: ffmpeg makes sound files, PostgreSQL and Chromium are tried against
	apt-get install --yes curl ffmpeg postgresql chromium

demo: $(DEMO_VENV)/.installed ## install search alone, start the services, index the sample archive, ask five spoken queries
	$(DEMO_VENV)/bin/python deploy/demo/run.py

$(DEMO_VENV)/.installed: pyproject.toml deploy/client/pyproject.toml
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet --editable deploy/client --editable .
	touch $@

wheels: install ## the three distributions, in dist
	rm -rf dist
	for folder in . deploy/client deploy/models; do \
		(cd $$folder && $(TOOLS)/hatchling build --target wheel --directory $(CURDIR)/dist) || exit 1; done

test: install ## the tests, under ten minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' --numprocesses $(WORKERS) --dist worksteal

check: install ## lint, types, import contracts, contract lint, stubs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports
	cd proto && $(TOOLS)/buf lint
	rm -rf build/stubs && mkdir -p build/stubs
	$(call generate,build/stubs)
	@for f in $$(cd build/stubs && find . -name '*_pb2*'); do \
		cmp "build/stubs/$$f" "proto/$$f" || { echo "stubs are stale: run make proto"; exit 1; }; done

proto: install ## regenerate the stubs from proto/
	$(call generate,proto)

page: ## build the web page anew from services/gateway/web; needs Node 20.19 or newer
	cd services/gateway/web && npm ci && npm run check && npm run build

docs: install ## the documentation below build/site; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

picture: install ## draw the layers anew from the imports
	$(BIN)/python -m docs.generate.layers

lock: install ## pin, with hashes, what development, the images and their building need
	$(PIN) --extra models --extra video --extra dev --extra docs --output-file requirements-dev.lock pyproject.toml
	$(PIN) $(AS_TESTED) --extra video --extra postgres --output-file deploy/requirements-cpu.lock pyproject.toml
	$(PIN) $(AS_TESTED) --extra models --extra video --extra postgres --output-file deploy/requirements-gpu.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		| $(PIN) $(AS_TESTED) --output-file deploy/requirements-build.lock -

sbom: install ## bills of materials of the images, CycloneDX, in build/sbom
	mkdir -p build/sbom
	for image in cpu gpu; do $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--output-file build/sbom/$$image.json deploy/requirements-$$image.lock; done

bench: bench-retrieval bench-scale bench-serving ## every benchmark

bench-retrieval: install ## retrieval quality and speed on the development archive
	$(BIN)/python -m tests.bench.retrieval

bench-scale: install ## indexing speed, memory, search latency, approximate recall
	$(BIN)/python -m tests.bench.scale

bench-serving: install ## throughput, overhead, hot swap and memory of the model service
	$(BIN)/python -m tests.bench.serving

bench-faults: install ## failing disks, kills at any call, power loss and bit rot below real processes; needs a C compiler
	$(BIN)/python -m tests.faults $(FAULTS)

fuzz: install ## mutated files and hostile calls, 20,000 or more in ten minutes or more; failures below build/fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ)

clean: ## what the other targets made
	rm -rf build dist src/*.egg-info $(VENV)

define generate
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(PROTOS)
endef

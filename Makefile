# Every command people need. `make` alone lists them.

CARGO ?= cargo
TARGET_DIR ?= target
PROGRAM = $(CARGO) run --quiet --package softargmax-cli --
FUZZ_SECONDS ?= 60
PYTHON ?= python3
# For the Python package and its tests: all that they need, and nothing of the machine's own.
PYTHON_ENV = .venv-python
# What pip installs for it: with an index of CPU builds, `make test-torch TORCH="torch --index-url URL"` is smaller.
TORCH ?= --no-deps --requirement python/requirements-torch.txt
# What is compiled with DataFusion, in a profile of its own.
ENGINE = --profile engine --package softargmax-sql --package softargmax-cluster
NOT_ENGINE = --exclude softargmax-sql --exclude softargmax-cluster
# Benchmarks that check, with what the tests have compiled: the same profile and packages, so the same features of all crates.
CHECKING = $(CARGO) bench --profile dev --workspace $(NOT_ENGINE) --all-features --bench
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

.DEFAULT_GOAL = help
.PHONY: help test test-engine test-python test-torch wheel check fmt docs accuracy bench instructions guard bench-peers bench-fit bench-sample bench-contrastive bench-python bench-sql bench-formats memory fixtures digits fuzz sanitize valgrind

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

test: ## all tests: library and program, with every feature and with none, the Python package, SQL and the cluster
	# The Python package has no tests for cargo, but its crates ask for features: with them here, the wheel finds all compiled.
	$(CARGO) test --workspace $(NOT_ENGINE) --all-features --no-fail-fast
	$(CARGO) test --package softargmax --no-default-features --no-fail-fast
	$(MAKE) test-python PROGRAM_IS_BUILT=yes
	# Last: the engine takes as long to compile as all the rest.
	$(MAKE) test-engine

test-engine: ## SQL and the cluster, tests and lints
	# Compiled by the linter: `cargo clippy` would go through the whole engine once more.
	CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings" RUSTC_WORKSPACE_WRAPPER=clippy-driver $(CARGO) test $(ENGINE) --no-fail-fast

test-python: $(PYTHON_ENV)/ready ## the Python package: its wheel in an environment of its own with the tests, and in an empty one
	$(if $(PROGRAM_IS_BUILT),,$(CARGO) build --quiet --package softargmax-cli)
	rm -rf $(TARGET_DIR)/wheels-test
	$(PYTHON_ENV)/bin/maturin build --manifest-path python/Cargo.toml --profile dev --out $(TARGET_DIR)/wheels-test
	$(PYTHON_ENV)/bin/pip install --quiet --force-reinstall --no-deps $(TARGET_DIR)/wheels-test/*.whl
	SOFTARGMAX_PROGRAM=$(CURDIR)/$(TARGET_DIR)/debug/softargmax $(PYTHON_ENV)/bin/python -m pytest --numprocesses 2 --dist loadfile python/tests
	@$(PYTHON_ENV)/bin/python -c "import torch" 2>/dev/null || echo "torch is not installed: softargmax.torch was not tested; make test-torch installs it"
	$(PYTHON) -m venv --clear $(TARGET_DIR)/empty
	$(TARGET_DIR)/empty/bin/pip install --quiet $(TARGET_DIR)/wheels-test/*.whl
	$(TARGET_DIR)/empty/bin/python -c "import softargmax as s; assert s.softmax([1., 5., 7., 10.], temperature='0.1')[0] == 8.194012623989748e-40"

$(PYTHON_ENV)/ready: python/requirements-test.txt
	$(PYTHON) -m venv $(PYTHON_ENV)
	$(PYTHON_ENV)/bin/pip install --quiet --requirement python/requirements-test.txt
	touch $@

test-torch: $(PYTHON_ENV)/ready ## softargmax.torch (downloads torch, 4.5 GB on Linux, unless the environment has it)
	$(PYTHON_ENV)/bin/python -c "import torch" 2>/dev/null || $(PYTHON_ENV)/bin/pip install --quiet $(TORCH)
	$(MAKE) test-python

wheel: $(PYTHON_ENV)/ready ## the wheel and the source distribution of the Python package, in target/wheels
	$(PYTHON_ENV)/bin/maturin build --manifest-path python/Cargo.toml --release --sdist --out $(TARGET_DIR)/wheels

check: ## format, lints, documentation, generated documents, vectorisation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace $(NOT_ENGINE) --all-targets --all-features -- -D warnings
	$(CARGO) clippy --package softargmax --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace $(NOT_ENGINE) --all-features --no-deps
	$(CHECKING) accuracy -- --check $(CURDIR)/docs/accuracy.md
	$(CHECKING) speed -- --guard
	$(PYTHON) benches/page.py --check

fmt: ## format the code
	$(CARGO) fmt --all

docs: ## write docs/cli.md, the pictures, the documents' console output, docs/benchmarks.md and docs/accuracy.md anew
	$(PROGRAM) help-markdown > docs/cli.md.new
	mv docs/cli.md.new docs/cli.md
	$(PROGRAM) sweep 1 5 7 10 --temperatures 0.1,1,10,100,10000 --plot docs/sweep.svg
	$(PROGRAM) contrast examples/digits/queries.npy examples/digits/keys.npy -t 0.07 --plot docs/contrast.svg > /dev/null
	mkdir -p docs/digits
	$(PROGRAM) report examples/digits/logits.npy --labels examples/digits/labels.npy --svg docs/digits > /dev/null
	SOFTARGMAX_UPDATE=1 $(CARGO) test --quiet --package softargmax-cli --test all readme::every_block
	$(PYTHON) benches/page.py
	$(MAKE) accuracy

accuracy: ## measure the error over the oracle grid, write docs/accuracy.md
	$(CARGO) bench --bench accuracy -- --write $(CURDIR)/docs/accuracy.md

bench: ## measure the speed, write benches/results/speed.json
	$(CARGO) bench --features ndarray --bench speed -- --json $(CURDIR)/benches/results/speed.json

instructions: ## count the instructions of each function with valgrind, write benches/results/instructions.json
	$(PYTHON) benches/instructions.py $(CURDIR)/benches/results/instructions.json

guard: ## fail where a kernel is no longer vectors (part of check)
	$(CARGO) bench --bench speed -- --guard

bench-peers: ## the speed beside published crates (downloads them), write benches/results/peers.json
	RAYON_NUM_THREADS=1 $(CARGO) run --release --manifest-path benches/peers/Cargo.toml -- \
		--json $(CURDIR)/benches/results/peers.json

bench-sample: ## a token beside candle and llm-samplers (downloads them), write benches/results/sample.json
	RAYON_NUM_THREADS=1 $(CARGO) run --release --manifest-path benches/peers/Cargo.toml --bin sample -- \
		--json $(CURDIR)/benches/results/sample.json

bench-fit: .venv ## fitting a temperature beside scikit-learn and probmetrics (downloads torch), write benches/results/fit.json
	.venv/bin/pip install --quiet --requirement benches/fit_requirements.txt
	.venv/bin/python benches/fit_peers.py $(CARGO) bench --quiet --profile release --bench fit -- $(CURDIR)/benches/results/fit.json

bench-contrastive: .venv ## contrastive losses beside torch and jax (downloads them), write benches/results/contrastive.json
	.venv/bin/pip install --quiet --requirement benches/contrastive_requirements.txt
	.venv/bin/python benches/contrastive_peers.py $(CARGO) bench --quiet --profile release --bench contrastive -- \
		$(CURDIR)/benches/results/contrastive.json

bench-sql: ## a fit of 10^7 rows of Parquet beside a bare scan (compiles the engine, writes and removes a gigabyte), write benches/results/sql.json
	$(CARGO) bench --quiet --package softargmax-sql --bench sql -- --json $(CURDIR)/benches/results/sql.json

bench-formats: $(PYTHON_ENV)/ready ## a fit from files of every format, of 10^7 rows of Parquet and of 4 GiB (writes and removes six gigabytes), write benches/results/formats.json
	$(CARGO) build --release --package softargmax-cli
	rm -rf $(TARGET_DIR)/bench-formats
	$(PYTHON_ENV)/bin/python benches/formats.py prepare $(TARGET_DIR)/bench-formats
	$(PYTHON_ENV)/bin/python benches/formats.py measure $(TARGET_DIR)/release/softargmax $(TARGET_DIR)/bench-formats benches/results/formats.json
	rm -rf $(TARGET_DIR)/bench-formats

memory: ## the memory contrastive losses take at full size, write benches/results/memory.json (a minute or two)
	$(CARGO) bench --quiet --profile release --bench memory -- --json $(CURDIR)/benches/results/memory.json

bench-python: .venv ## softmax of numpy arrays beside scipy, torch and onnxruntime (downloads them), write benches/results/python.json
	.venv/bin/pip install --quiet --requirement benches/python/requirements.txt
	.venv/bin/python -c "import torch" 2>/dev/null || .venv/bin/pip install --quiet $(TORCH)
	rm -rf $(TARGET_DIR)/wheels
	.venv/bin/maturin build --manifest-path python/Cargo.toml --release --out $(TARGET_DIR)/wheels
	.venv/bin/pip install --quiet --force-reinstall --no-deps $(TARGET_DIR)/wheels/*.whl
	.venv/bin/python benches/python/softmax.py benches/results/python.json

.venv:
	python3 -m venv .venv

fixtures: .venv ## work out fixtures/cases.json anew with mpmath
	.venv/bin/pip install --quiet --requirement fixtures/requirements.txt
	.venv/bin/python fixtures/generate.py

digits: .venv ## train the network of examples/digits anew, and embed its images
	.venv/bin/pip install --quiet --requirement examples/digits/requirements.txt
	.venv/bin/python examples/digits/train.py
	.venv/bin/python examples/digits/views.py

fuzz: ## a minute of each fuzz target (needs a nightly toolchain and cargo-fuzz)
	for target in npy npz csv jsonl safetensors beside scan sample teacher; do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -malloc_limit_mb=200 || exit 1; \
	done

sanitize: ## the library's tests under AddressSanitizer (needs a nightly toolchain)
	RUSTFLAGS="-Zsanitizer=address" $(CARGO) +nightly test --package softargmax --all-features \
		--no-fail-fast --lib --tests --target $(HOST) --target-dir $(TARGET_DIR)/sanitize

valgrind: ## the program under valgrind on the digits
	$(CARGO) build --release --package softargmax-cli --target-dir $(TARGET_DIR)
	for log in "" --log; do \
		valgrind --quiet --error-exitcode=1 $(TARGET_DIR)/release/softargmax \
			apply examples/digits/logits.npy -t 1.8 $$log --format csv -o - > /dev/null || exit 1; \
	done
	valgrind --quiet --error-exitcode=1 $(TARGET_DIR)/release/softargmax solve examples/digits/logits.npy --entropy 0.1

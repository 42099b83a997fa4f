# Every command people need. `make` alone lists them.

CARGO ?= cargo
TARGET_DIR ?= target
PROGRAM = $(CARGO) run --quiet --package softargmax-cli --
FUZZ_SECONDS ?= 60
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

.DEFAULT_GOAL = help
.PHONY: help test check fmt docs accuracy bench guard bench-peers bench-fit bench-sample bench-contrastive memory fixtures digits fuzz sanitize valgrind

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

test: ## all tests: both packages, with every feature and with none
	$(CARGO) test --workspace --all-features --no-fail-fast
	$(CARGO) test --package softargmax --no-default-features --no-fail-fast

check: ## format, lints, documentation, generated documents, vectorisation
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	$(CARGO) clippy --package softargmax --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps
	$(PROGRAM) help-markdown | diff docs/cli.md -
	$(CARGO) bench --bench accuracy -- --check $(CURDIR)/docs/accuracy.md
	$(CARGO) bench --bench speed -- --guard

fmt: ## format the code
	$(CARGO) fmt --all

docs: ## write docs/cli.md, the picture, the documents' console output and docs/accuracy.md anew
	$(PROGRAM) help-markdown > docs/cli.md.new
	mv docs/cli.md.new docs/cli.md
	$(PROGRAM) sweep 1 5 7 10 --temperatures 0.1,1,10,100,10000 --plot docs/sweep.svg
	$(PROGRAM) contrast examples/digits/queries.npy examples/digits/keys.npy -t 0.07 --plot docs/contrast.svg > /dev/null
	mkdir -p docs/digits
	$(PROGRAM) report examples/digits/logits.npy --labels examples/digits/labels.npy --svg docs/digits > /dev/null
	SOFTARGMAX_UPDATE=1 $(CARGO) test --quiet --package softargmax-cli --test readme every_block
	$(MAKE) accuracy

accuracy: ## measure the error over the oracle grid, write docs/accuracy.md
	$(CARGO) bench --bench accuracy -- --write $(CURDIR)/docs/accuracy.md

bench: ## measure the speed, write benches/results/speed.json
	$(CARGO) bench --bench speed -- --json $(CURDIR)/benches/results/speed.json

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

memory: ## the memory contrastive losses take at full size, write benches/results/memory.json (a minute or two)
	$(CARGO) bench --quiet --profile release --bench memory -- --json $(CURDIR)/benches/results/memory.json

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
	for target in npy csv scan sample teacher; do \
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

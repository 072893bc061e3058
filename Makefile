# The front desk. Each target installs what it needs first, then runs it.

# The guest's kernel for `make guest`: 5.10, 6.1 or 6.12.
KERNEL ?= 6.1
CARGO ?= cargo
# Random programs of `make torture` a kernel, and which ones.
CASES ?= 2000
SEED ?= 1
# How long `make fuzz` goes on.
SECONDS ?= 1800

.DEFAULT_GOAL := help
.PHONY: help demo test torture fuzz bench dashboard book guest fmt lint

help: ## say what can be made
	@echo 'make TARGET, where TARGET is one of:'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 10

demo: ## see a straggler survived and its latency profiled, in under two minutes
	@tests/setup.sh demo
	@tests/demo.sh

test: ## run every test, in guests on kernels 5.10, 6.1 and 6.12 too
	@tests/setup.sh test
	$(CARGO) test --workspace

torture: ## thousands of random programs on each kernel, millions of damaged frames: make torture CASES=2000 SEED=1
	@tests/setup.sh test
	PROPTEST_RNG_SEED=$(SEED) HETSYNC_CASES=$(CASES) $(CARGO) test --release -p hetsync-probe --test differential \
	    -- --nocapture --test-threads=1
	FUZZ_SEED=$(SEED) FUZZ_EXECUTIONS=$$((1000 * $(CASES))) SCHEDULES_SEED=$(SEED) SCHEDULES=$$((10 * $(CASES))) \
	    $(CARGO) test --release -p hetsync-core --test core -- v1_fuzz v1_replicas

fuzz: ## damaged scripts through parser, check and fmt: make fuzz SECONDS=1800 SEED=1
	@tests/setup.sh test
	HETSYNC_FUZZ_SECONDS=$(SECONDS) HETSYNC_FUZZ_SEED=$(SEED) nice -n 19 \
	    $(CARGO) test --release -p hetsync-probe --test lang fuzz -- --nocapture --test-threads=1

bench: ## measure against bpftrace, a C program, and the original server
	@tests/setup.sh bench
	@tests/bench.sh

dashboard: ## load each query of the Grafana dashboard into a real Prometheus that scrapes a real server
	@tests/setup.sh dashboard
	$(CARGO) build -p hetsync-core --bin hetsync
	@python3 tests/prometheus.py

book: ## build the book into target/book
	@tests/setup.sh book
	PATH="$$PATH:$(CURDIR)/target/tools/bin" mdbook build -d "$(CURDIR)/target/book" book

guest: ## open a shell in a guest with our programs: make guest KERNEL=6.12
	@tests/setup.sh guest
	$(CARGO) build -p hetsync-core -p hetsync-probe -p hetsync-guest
	@$(CARGO) run -q -p hetsync-guest -- shell --kernel $(KERNEL) \
	    --bin target/debug/hetsync --bin target/debug/hetsync-probe \
	    --bin target/debug/hetsync-workload \
	    $(if $(wildcard probe-scripts),--file probe-scripts)

fmt: ## format all code
	$(CARGO) fmt --all

lint: ## check formatting, lints, and the documentation
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p hetsync-probe -p hetsync-core --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps

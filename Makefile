# Every command of this repository, by one name each. `make help` lists them; .ci/run calls them.
# Nothing here is needed to use ringfleet: `go run ./cmd/node` and `go test ./...` are enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

# What a run can be given, for example `make fuzz-smoke FUZZTIME=1m`.
PKG ?= ./...
FUZZTIME ?= 20000x
BENCHTIME ?= 200ms
BENCH ?= .
RUNS ?= 5
CALLS ?= 20000
USERS ?= 200
LOADFLAGS ?=
NODES ?= 3
EXPLOREFLAGS ?=
FULL ?=
SEED ?= 1
IDLE ?= 3m
HOLD ?= 20000

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@awk -F ' \\?= ' '/^[A-Z]+ \?= / { printf "  %-16s default %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build everything; the commands go to bin/
	go build ./...
	@mkdir -p bin
	go build -o bin/ ./cmd/... ./loadtest

.PHONY: test
test: ## Run every test (what CI and the README run)
	go test $(PKG)

.PHONY: race
race: ## Run every test under the race detector, long explorations cut short
	go test -race -short -timeout 20m $(PKG)

.PHONY: lint
lint: ## go vet, golangci-lint and buf's rules for the messages
	go vet ./...
	scripts/tool golangci-lint run
	scripts/tool buf lint messages

.PHONY: format
format: ## Format the Go code as lint wants it
	scripts/tool golangci-lint fmt

.PHONY: generate
generate: ## Generate the messages' Go code and the generated parts of the documents
	go generate ./...

.PHONY: generate-check
generate-check: ## Fail if `make generate` changes anything
	scripts/generate-check

.PHONY: fuzz-smoke
fuzz-smoke: ## Run every fuzz target for FUZZTIME, a number of inputs or a time
	scripts/fuzz-smoke $(FUZZTIME)

.PHONY: fuzz
fuzz: ## Run every fuzz target for 75 s, or FUZZTIME (some 20 minutes)
	scripts/fuzz-smoke $(if $(filter file,$(origin FUZZTIME)),75s,$(FUZZTIME))

.PHONY: explore
explore: ## Explore the small worlds within the large bounds, to closure (some minutes, 8 GiB)
	go test ./internal/explore -run TestWorlds -explore.long -v -timeout 3h $(EXPLOREFLAGS)

.PHONY: explore-smoke
explore-smoke: ## Explore those of them that need less than 2 GiB (a minute)
	go test ./internal/explore -run 'TestWorlds/^(one|pair|glare)$$' -explore.long -v -timeout 1h

.PHONY: sim
sim: ## Simulate 300 large worlds that nobody has run before, some minutes
	go test ./internal/sim -run 'Calm|Many' -v -timeout 1h -sim.seeds 300 -sim.calls 2000 $(SIMFLAGS)

.PHONY: sim-million
sim-million: ## Simulate a million calls and more over more than 10,000 losses of nodes, always the same, some minutes
	go test ./internal/sim -run Many -v -timeout 3h -sim.from 1 -sim.seeds 1800 $(SIMFLAGS)

.PHONY: cluster-test
cluster-test: ## Test real node processes: moves, disagreement, bad peers, upgrades (FULL=1: the long form)
	go test ./internal/fleet -count=1 -v -timeout 30m -fleet.size $(if $(FULL),full,short)

.PHONY: trace-demo
trace-demo: ## Trace a call over three nodes, and draw it as text
	go test ./internal/fleet -count=1 -v -timeout 10m -run 'TestTrace$$' -fleet.size short

.PHONY: cluster-cost
cluster-cost: ## What calls cost on 1, 3 and 5 nodes
	go test ./internal/fleet -count=1 -v -timeout 15m -run TestCost -fleet.size cost

.PHONY: overload
overload: ## Ask a node for twice what it can do (two processors, some three minutes)
	go test ./internal/fleet -count=1 -v -timeout 15m -run TestOverload -fleet.size overload

.PHONY: overload-smoke
overload-smoke: ## The same in half a minute; of how soon things happen, nothing is demanded
	go test ./internal/fleet -count=1 -v -timeout 10m -run TestOverload -fleet.size overload-short

.PHONY: rolling-test
rolling-test: ## Restart three nodes under load as Kubernetes does, from the manifests (FULL=1: the long form)
	cd deploy/test && go test -count=1 -v -timeout 20m -run TestRolling -rolling $(if $(FULL),full,short) .

.PHONY: deploy-test
deploy-test: ## Test the manifests, the image's file, the alerts and the dashboard
	go test ./deploy/monitoring
	cd deploy/test && go vet . && go test .

.PHONY: first-hour
first-hour: ## Do what "First hour" in docs/operations.md says, word for word, in a fresh clone
	scripts/first-hour

.PHONY: events-test
events-test: ## Test events against libraries, a broker and a database of others
	cd events/check && go vet . && go test .
	cd examples/history && go vet . && go test .

.PHONY: chaos-smoke
chaos-smoke: ## Calls while real nodes are hurt in every way, some two minutes
	go run ./loadtest --chaos --users 120 --rate 60 --chaos-count 12 --chaos-longest 4s --chaos-every 3s --linger 10s --seed $(SEED)

.PHONY: chaos-broken
chaos-broken: ## Calls on nodes whose recovery is broken: fails unless that is found within a minute
	go run ./loadtest --chaos --node-tags brokenrecovery --must-break --users 120 --rate 60 --duration 1m \
		--chaos-faults kill,crash --chaos-longest 2s --chaos-every 4s --linger 10s --seed $(SEED)

.PHONY: chaos
chaos: ## As chaos-smoke for ten minutes, with faults as long as their kinds have them; judges memory, too
	go run ./loadtest --chaos --users 300 --rate 125 --duration 10m --chaos-every 8s --linger 30s --chaos-idle $(IDLE) \
		--chaos-excused 1 --seed $(SEED)

.PHONY: chaos-three
chaos-three: ## make chaos with SEED and the two after it, whose summaries it shows once more at the end
	@dir=$$(mktemp -d); failed=; \
	for seed in $$(seq $(SEED) $$(($(SEED) + 2))); do \
		$(MAKE) --no-print-directory chaos SEED=$$seed 2>&1 | tee $$dir/$$seed || failed="$$failed $$seed"; \
	done; \
	for file in $$dir/*; do sed -n '/^summary:/,$$p' $$file; echo; done; rm -r $$dir; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

# A node that goes and comes back later, one that comes back at once, one that stands still: with how long it takes until all
# are answered at most.
HOLDS := crash,30s,5s kill,0s,5s pause,20s,15s

.PHONY: hold
hold: ## Hurt a node while HOLD invitations ring, in three ways: each is kept, and answered within 5 s, 15 s of a pause
	@go build -o bin/ ./cmd/node ./loadtest; failed=; \
	for hold in $(HOLDS); do \
		IFS=, read -r fault lasts within <<< $$hold; \
		bin/loadtest --chaos --node-binary bin/node --hold $(HOLD) --users $$(($(HOLD) * 62 / 100)) --chaos-faults $$fault \
			--hold-lasts $$lasts --hold-within $$within --seed $(SEED) || failed="$$failed $$fault"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

.PHONY: bench
bench: ## Measure the quick figures of docs/performance.md, and print them against the targets
	scripts/measure --quick $(RUNS)

.PHONY: benchmarks
benchmarks: ## Run the packages' benchmarks, BENCHTIME each
	go test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) $(PKG)

.PHONY: measure
measure: ## Measure all figures of docs/performance.md (an hour, on an idle machine)
	scripts/measure $(RUNS)

.PHONY: cluster
cluster: ## Run NODES nodes on this machine as one cluster, until Ctrl-C
	@mkdir -p bin
	go build -o bin/node ./cmd/node
	bin/node --nodes $(NODES)

.PHONY: load-smoke
load-smoke: ## CALLS mixed calls over WebSockets against a node of its own, checking every promise
	go run ./loadtest --self-host --calls $(CALLS) --users $(USERS) $(LOADFLAGS)

.PHONY: ci
ci: ## Everything that CI runs
	bash .ci/run

.PHONY: clean
clean: ## Remove what build made
	rm -rf bin dist

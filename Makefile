# SPDX-License-Identifier: Apache-2.0
#
# The two commands of the README are `make demo` and `make test`. Each builds what
# it needs from Go modules and keeps it in a cache.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

VERSION ?= v0.1.0
IMAGE   ?= sparkpipeline.local/operator:$(VERSION)
export GOTOOLCHAIN := local
export CGO_ENABLED ?= 0
GOBUILD := go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$(VERSION)"

CLUSTER := go -C test/cluster run .

.PHONY: help
help: ## Show this list.
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: build
build: ## Build the programs into bin/.
	$(GOBUILD) -o bin/ ./cmd/...

.PHONY: image
image: build ## Build the operator's image as out/image.tar, without a daemon.
	hack/image.sh $(IMAGE) out/image.tar

.PHONY: generate
generate: ## Generate deep copies, CRD, apply configurations, role and API reference.
	hack/generate.sh

.PHONY: demo
demo: build ## A control plane from modules, the operator, two pipelines, breakage and repair.
	go run ./test/e2e/demo

.PHONY: demo-down
demo-down: ## Stop what `make demo` left running.
	go run ./test/e2e/demo -down

.PHONY: demo-live
demo-live: image ## The same on a real node with real Spark (Linux, root, Java 17).
	hack/live-packages.sh
	go run ./test/e2e/live/demo

.PHONY: demo-live-down
demo-live-down: ## Stop what `make demo-live` left running.
	go run ./test/e2e/live/demo -down

.PHONY: test
test: ## Unit, API-server and control-plane tests.
	hack/test.sh

.PHONY: test-faults
test-faults: ## Every fault at every write (FAULTS_SAMPLE, FAULTS_SEED, FAULTS_ONLY; make test runs a sample).
	hack/test-faults.sh

.PHONY: bench
bench: build ## Measure the operator at 100 and 1000 pipelines beside a bare apply loop (about 40 minutes); out/bench.md.
	$(CLUSTER) build controlplane
	go -C bench run . -out ../out $(BENCH)

.PHONY: bench-short
bench-short: build ## The same at 100 pipelines once: the counts and the ratio.
	$(CLUSTER) build controlplane
	go -C bench run . -short -out ../out $(BENCH)

.PHONY: bench-agent
bench-agent: build ## Measure backup and restore beside a bare loop, rclone, restic and aws-cli; out/bench-agent.md (BENCH="-small 100000 -million").
	hack/bench-packages.sh
	mkdir -p out
	go build -C test/s3 -o ../../out/bench-agent ./bench
	out/bench-agent -agent bin/agent -out out $(BENCH)

.PHONY: test-simulation
test-simulation: ## Thousands of interleavings of backups, prunes and crashes (BACKUP_SIMULATIONS, BACKUP_SIMULATION_SEED).
	BACKUP_SIMULATIONS=$${BACKUP_SIMULATIONS:-3000} go test -count=1 -timeout 3h -v -run TestPointsSurvive ./internal/agent

.PHONY: test-live-short
test-live-short: image ## The short form of the live tier: real Spark on a real node (Linux, root, Java 17).
	hack/live-packages.sh
	go test -count=1 -timeout 15m ./test/e2e/live/

.PHONY: test-live-spark
test-live-spark: ## Backup and restore against real Spark, each state store, judged after two restarts (Java 17).
	hack/live-packages.sh
	go test -count=1 -v -timeout 60m ./test/e2e/live/replay/

.PHONY: lint
lint: ## go vet and gofmt over all modules.
	hack/lint.sh

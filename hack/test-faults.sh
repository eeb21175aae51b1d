#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All fault tests: thousands of runs, an hour or more. FAULTS_SAMPLE=60 is what
# `make test` does. FAULTS_RACE=1 adds the race detector, which needs a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(cd test/cluster && go run . assets | tail -1)}
export KUBEBUILDER_ASSETS FAULTS_SAMPLE=${FAULTS_SAMPLE:-0}
race=()
if [ "${FAULTS_RACE:-}" = 1 ]; then
  export CGO_ENABLED=1
  race=(-race)
fi
go test -count=1 -timeout 6h -v "${race[@]}" ./test/faults

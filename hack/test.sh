#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's second command. Tiers, in order: unit and API server (root module),
# rendered objects, control plane. Prints what it does and how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOTOOLCHAIN=local

tier() {
  local name=$1 start=$SECONDS
  shift
  echo "=== tier: $name"
  "$@"
  echo "=== tier: $name took $((SECONDS - start)) s"
}

api_server() {
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(cd test/cluster && go run . assets | tail -1)}
  export KUBEBUILDER_ASSETS
  echo "kube-apiserver and etcd: $KUBEBUILDER_ASSETS"
  # The control-plane tier has its own turn below.
  local packages
  packages=$(go list ./... | grep -v '/test/e2e')
  # shellcheck disable=SC2086
  go test -timeout 20m $packages
}

rendered() { (cd test/rendered && go test ./...); }

cluster_module() { (cd test/cluster && go test ./...); }

control_plane() {
  make build
  go test -timeout 20m -v ./test/e2e/ | grep -vE '^\s*$'
}

tier "lint" hack/lint.sh
tier "unit and API server" api_server
tier "rendered objects" rendered
tier "cluster from modules" cluster_module
tier "control plane" control_plane

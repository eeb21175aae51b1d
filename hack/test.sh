#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The README's second command. Tiers, in order: unit and API server (root module),
# the modules beside it, control plane. Prints what it does and how long it took.
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

# modules tests the modules beside the root one.
modules() {
  local module
  for module in $(git ls-files 'test/*go.mod' | grep -v '/modules/' | xargs -n1 dirname | sort); do
    echo "module $module"
    (cd "$module" && go test -timeout 20m ./...)
  done
}

binaries() { (cd test/cluster && go run . build controlplane); }

control_plane() {
  make build
  go test -count=1 -timeout 20m ./test/e2e/
}

tier "lint" hack/lint.sh
tier "build what the tests run on" binaries
tier "unit and API server" api_server
tier "modules beside" modules
tier "control plane" control_plane

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Generates the rules for sparkConf and, with the tools that hack/tools pins, deep
# copies, the CRD, apply configurations, the operator's role and the API reference.
#
#   hack/generate.sh           writes them
#   hack/generate.sh --check   fails, with the difference, when they are stale
set -euo pipefail
cd "$(dirname "$0")/.."
export GOTOOLCHAIN=local GOFLAGS=-mod=readonly
root=$PWD
tools=$root/.cache/tools

# What is generated, and nothing else: --check compares these paths.
generated=(
  api/v1alpha1/zz_generated.sparkconf.go
  api/v1alpha1/zz_generated.deepcopy.go
  api/v1alpha1/applyconfiguration
  config/crd/sparkpipeline.dev_sparkpipelines.yaml
  config/rbac/role.yaml
  docs/api.md
  internal/sparkapi/zz_generated.deepcopy.go
)

build_tools() {
  mkdir -p "$tools"
  go -C hack/tools build -o "$tools/" \
    sigs.k8s.io/controller-tools/cmd/controller-gen github.com/elastic/crd-ref-docs
}

# generate writes below the directory $1, which holds a copy of the sources.
generate() (
  cd "$1"
  go run ./hack/sparkconf >"$1/.sparkconf.go"
  mv "$1/.sparkconf.go" api/v1alpha1/zz_generated.sparkconf.go
  "$tools/controller-gen" paths=./api/... \
    object:headerFile=hack/boilerplate.go.txt \
    crd output:crd:dir=config/crd \
    applyconfiguration:headerFile=hack/boilerplate.go.txt
  mkdir -p docs
  "$tools/crd-ref-docs" --log-level=ERROR --renderer=markdown --max-depth=20 \
    --source-path=api --config=hack/api-reference/config.yaml \
    --templates-dir=hack/api-reference --output-path=docs/api.md
  "$tools/controller-gen" paths=./internal/sparkapi object:headerFile=hack/boilerplate.go.txt
  "$tools/controller-gen" paths=./internal/... \
    rbac:roleName=sparkpipeline-operator output:rbac:dir=config/rbac
)

check() {
  local copy path stale=0
  copy=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$copy'" EXIT
  cp -r go.mod go.sum api internal hack config "$copy/"
  for path in "${generated[@]}"; do rm -rf "${copy:?}/$path"; done
  generate "$copy"
  for path in "${generated[@]}"; do
    diff -ruN "$path" "$copy/$path" || stale=1
  done
  if [ "$stale" = 1 ]; then
    echo "generated files are stale: run hack/generate.sh and commit what it writes" >&2
    return 1
  fi
}

build_tools
case "${1-}" in
  "") generate "$root" ;;
  --check) check ;;
  *) echo "usage: hack/generate.sh [--check], found $1" >&2 && exit 2 ;;
esac

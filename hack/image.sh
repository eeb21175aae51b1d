#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the operator's image without a daemon: image.sh REF OUT. The archive loads
# with `docker load` and is an OCI layout too; built twice it is the same.
set -euo pipefail
cd "$(dirname "$0")/.."
ref=$1 out=$2
mkdir -p "$(dirname "$out")"
files=()
for program in bin/*; do files+=(--file "/$(basename "$program")=$PWD/$program:0755"); done
go -C test/cluster run . image --ref "$ref" --out "$PWD/$out" --entrypoint /manager --user 65532:65532 "${files[@]}"

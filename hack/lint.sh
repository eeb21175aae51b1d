#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Formatting and vet over every module of the project.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(git ls-files --cached --others --exclude-standard '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
  echo "gofmt: these files are not formatted:" && echo "$unformatted"
  exit 1
fi
for module in $(git ls-files --cached --others --exclude-standard '*go.mod' | xargs -n1 dirname | sort); do
  case "$module" in test/cluster/modules/* | hack/tools) continue ;; esac
  echo "vet $module"
  (cd "$module" && go vet ./...)
done

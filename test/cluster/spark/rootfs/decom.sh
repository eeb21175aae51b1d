#!/bin/bash
# preStop hook of an executor: asks it to hand over its blocks, and holds the
# pod's end back until it has left. The pod's grace period bounds the wait.
set -euo pipefail

executor=$(pgrep --oldest --full '^[^ ]*java .*KubernetesExecutorBackend')
kill -s SIGPWR "$executor"
tail --pid="$executor" --follow /dev/null

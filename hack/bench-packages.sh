#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the tools that the agent is measured beside, as Debian packages them.
# Does nothing where they are there.
set -euo pipefail
missing=()
[ -x /usr/bin/rclone ] || missing+=(rclone)
[ -x /usr/bin/restic ] || missing+=(restic)
[ -x /usr/bin/aws ] || missing+=(awscli)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

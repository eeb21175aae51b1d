#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what a real node and spark-submit need beside Go and what the node's own
# program installs: a JDK, pip and debootstrap. Does nothing where they are there.
set -euo pipefail
missing=()
command -v javac >/dev/null || missing+=(openjdk-17-jdk-headless)
command -v pip >/dev/null || missing+=(python3-pip)
command -v debootstrap >/dev/null || missing+=(debootstrap)
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

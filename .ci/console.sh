#!/usr/bin/env bash
# Drives the live console in a browser (.ci/console/checks.mjs). It needs cargo, node 20 or newer and Debian's chromium.
# The screenshots are in target/console-screenshots afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. .ci/lib.sh
trap clean_up EXIT
target=${CARGO_TARGET_DIR:-$root/target}
unset STANDIN_POSTGRES

if ! command -v chromium >/dev/null; then
  apt-get update -qq
  apt-get install -qq -y --no-install-recommends chromium
fi
cargo build --quiet --package dev
timeout 600 npm ci --prefix .ci/console --silent

# check NAME [WORD...]: starts a console, whose screenshots go to NAME, and checks it. The console prints its address once
# it listens.
check() {
  local log=$work/${1//\//-}.log
  "$target/debug/dev" --port 0 --console-port 0 >"$log" 2>&1 &
  pids+=($!)
  address() { grep -oE 'http://127\.0\.0\.1:[0-9]+/' <<<"$(grep -i console "$log")" | head -n 1; }
  for _ in $(seq 600); do
    [ -z "$(address || true)" ] || break
    sleep 0.1
  done
  [ -n "$(address || true)" ] || fail "cargo dev prints no address of the console"
  timeout 900 node .ci/console/checks.mjs "$(address)" "$root/target/$1" "${@:2}"
}
check console-screenshots "$@"
[ $# != 0 ] || ON_USER_DELETED=park check console-screenshots/parking "deleted user"

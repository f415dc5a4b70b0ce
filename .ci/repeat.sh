#!/usr/bin/env bash
# Runs `cargo test --workspace` again and again while every core is kept busy by something else, to find tests that depend
# on the speed of the machine:
#
#   .ci/repeat.sh 20                 twenty times
#   .ci/repeat.sh 1 faketime -f +1y  once, with the clock a year ahead (Debian's package faketime)
#
# The first failure ends it, and shows that run's output.
set -euo pipefail
cd "$(dirname "$0")/.."
times=${1:?"usage: $0 TIMES [COMMAND...]"}
prefix=("${@:2}")

cargo test --workspace --no-run --quiet
output=$(mktemp)
busy=()
trap 'kill "${busy[@]}" 2>/dev/null || true; rm -f "$output"' EXIT
for _ in $(seq "$(nproc)"); do
  while :; do :; done &
  busy+=($!)
done

for run in $(seq "$times"); do
  "${prefix[@]}" cargo test --workspace >"$output" 2>&1 || { cat "$output"; echo "run $run failed"; exit 1; }
  passed=$(awk '/^test result: ok/ { sum += $4 } END { print sum }' "$output")
  echo "run $run of $times: $passed tests passed, load $(cut -d ' ' -f 1 /proc/loadavg)"
done

#!/usr/bin/env bash
# Checks the stand-ins and the signatures with the vendors' own clients (docs/peers.md). It needs cargo, python3 and
# node 20 or newer. The checks run side by side, each against stand-ins of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. .ci/lib.sh
trap clean_up EXIT
# The clients look at the hostnames of branches, which are the service's only without a server.
unset STANDIN_POSTGRES

cargo build --quiet --workspace --bins
timeout 600 npm ci --prefix .ci/clients --silent

# check NAME SCRIPT [ARGUMENT...]: runs a script of .ci/clients in the background, with the settings in NAME.env.
check() { later "$1" client "$@"; }
# Clerk's client adds the /v1 of its address itself.
client() {
  set -a
  . "$work/$1.env"
  CLERK_API_URL=${CLERK_API_URL%/v1} OPS=$ops DEV=$dev exec timeout 900 node ".ci/clients/$2" "${@:3}"
}

# The slow ones first. `spoiled.mjs` checks the checks: they must notice each change of a response.
stand_ins spoiled_clerk && check spoiled_clerk spoiled.mjs clerk
stand_ins spoiled_platform && check spoiled_platform spoiled.mjs platform
stand_ins spoiled_lite --api lite && check spoiled_lite spoiled.mjs lite
stand_ins platform && check platform xata-platform.mjs
stand_ins lite --api lite && check lite xata-lite.mjs
stand_ins clerk && check clerk clerk-backend.mjs
stand_ins connect && check connect connect.mjs
stand_ins hookdeck_cli && check hookdeck_cli hookdeck-cli.mjs
function=$(free_port)
"$dev" --port "$function" >/dev/null 2>&1 &
pids+=($!)
await "$function"
printf 'CLERK_API_URL= FUNCTION_URL=http://127.0.0.1:%s/\n' "$function" >"$work/signatures.env"
check signatures hookdeck-signatures.mjs

failed=()
for name in "${!running[@]}"; do
  finish "$name" || failed+=("$name")
done
[ "${#failed[@]}" = 0 ] || fail "${failed[*]}"

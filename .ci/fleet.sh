#!/usr/bin/env bash
# Measures `cargo ops migrate`, `audit` and `backfill` at a moderate size, and kills `migrate` 20 times: two minutes, once
# it is built. A count, memory or a drill that is not as wanted fails; a time is only shown.
#
#   .ci/fleet.sh         all of it; needs the server that STANDIN_POSTGRES names, else it starts one meanwhile
#   .ci/fleet.sh tools   installs the sqlx command line, where it is missing
#
# docs/performance.md, "A fleet", has the full size.
set -euo pipefail
cd "$(dirname "$0")/.."

# For PostgreSQL alone, and without TLS: the server is local.
command -v sqlx >/dev/null \
  || cargo install sqlx-cli --version 0.9.0 --locked --no-default-features --features postgres --quiet --debug
[ "${1-}" != tools ] || exit 0

if [ -z "${STANDIN_POSTGRES-}" ]; then
  STANDIN_POSTGRES=$(.ci/postgres.sh start)
  export STANDIN_POSTGRES
  trap '.ci/postgres.sh stop' EXIT
fi
fleet() { cargo bench --workspace --profile dev --bench fleet -- "$@"; }
fleet requests parallel sqlx
fleet memory --databases 1500
fleet kills

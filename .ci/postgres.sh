#!/usr/bin/env bash
# A temporary PostgreSQL server for the tests, with its own directory and socket. It does not use
# the system's server.
#
#   .ci/postgres.sh start   starts it, and prints the URL for STANDIN_POSTGRES
#   .ci/postgres.sh stop    stops the server that STANDIN_POSTGRES names, and removes its files
#
# It needs Debian's package `postgresql`, or its programs on the PATH.
set -euo pipefail

initdb=$(ls -1 /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
[ -n "$initdb" ] || initdb=$(command -v initdb) \
  || { echo "PostgreSQL is not installed: apt-get install postgresql" >&2; exit 1; }
programs=$(dirname "$(readlink -f "$initdb")")

# PostgreSQL refuses to run as root; its package creates a user.
as_owner() {
  if [ "$(id -u)" = 0 ]; then su postgres -s /bin/sh -c 'exec "$@"' -- sh "$@"; else "$@"; fi
}

case ${1-} in
  start)
    directory=$(cd / && as_owner mktemp -d /tmp/standin-postgres.XXXXXX)
    cd "$directory"
    # Only the owner can open the directory of the socket, which is the only way to connect.
    as_owner "$programs/initdb" --pgdata "$directory/data" --username postgres --auth trust \
      --encoding UTF8 --locale C --no-sync >"$directory/log" 2>&1
    # The data does not outlive the tests, so it need not reach the disk.
    as_owner "$programs/pg_ctl" start --wait --silent --pgdata "$directory/data" --log "$directory/data/log" \
      --options "-c listen_addresses='' -c unix_socket_directories='$directory' -c port=5433 -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" >&2
    echo "postgresql:///postgres?host=$directory&port=5433&user=postgres"
    ;;
  stop)
    directory=$(sed -n 's/.*[?&]host=\(\/tmp\/standin-postgres\.[A-Za-z0-9]*\)&.*/\1/p' <<<"${STANDIN_POSTGRES-}")
    [ -n "$directory" ] || { echo "STANDIN_POSTGRES names no server that was started here" >&2; exit 2; }
    cd "$directory"
    as_owner "$programs/pg_ctl" stop --silent --mode immediate --pgdata "$directory/data"
    cd /
    rm -rf "$directory"
    ;;
  *)
    echo "usage: .ci/postgres.sh start | stop" >&2
    exit 2
    ;;
esac

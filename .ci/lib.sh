# What the scripts here share. It needs `set -euo pipefail`, and root, the path of this checkout.

work=$(mktemp -d)
pids=()
ops=$root/target/debug/ops dev=$root/target/debug/dev

# Ends what was started, and shows the end of every log after a failure.
clean_up() {
  [ $? = 0 ] || tail -n 50 "$work"/*.log >&2 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# await PORT: waits until a server listens there, at most a minute
await() { python3 - "$1" <<'PYTHON'
import socket, sys, time
end = time.monotonic() + 60
while True:
    try:
        socket.create_connection(("localhost", int(sys.argv[1])), 1).close()
        break
    except OSError:
        if time.monotonic() > end: sys.exit("no server listens")
        time.sleep(0.05)
PYTHON
}

# await_line LINE FILE: until the file has this line, for a minute at most
await_line() {
  for _ in $(seq 600); do
    ! grep -qxF "$1" "$2" || return 0
    sleep 0.1
  done
  fail "$2 has no line $1"
}

# stand_ins NAME [OPTION...]: starts new stand-ins, with their settings in NAME.env and their port in $standins
stand_ins() {
  standins=$(free_port)
  "$dev" standins --port "$standins" --env "${@:2}" >"$work/$1.env" &
  pids+=($!)
  await_line '# ready' "$work/$1.env"
}

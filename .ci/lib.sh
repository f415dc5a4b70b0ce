# What the scripts here share. It needs `set -euo pipefail`, and root, the path of this checkout.

work=$(mktemp -d)
pids=()
ops=$root/target/debug/ops dev=$root/target/debug/dev
# The package that `sam build` made, for this machine.
arch=$(uname -m | sed s/aarch64/arm64/)
bootstrap=$root/.aws-sam/build/Function/bootstrap

# Ends what was started, and shows the end of every log after a failure.
clean_up() {
  [ $? = 0 ] || tail -n 50 "$work"/*.log >&2 || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# later NAME COMMAND [ARGUMENT...]: runs it in the background; `finish NAME` waits, shows its output, and fails if it failed.
declare -A running
later() {
  "${@:2}" >"$work/$1.log" 2>&1 &
  running[$1]=$!
  pids+=($!)
}
finish() {
  local status=0
  wait "${running[$1]}" || status=$?
  printf '\n-- %s\n' "$1"
  cat "$work/$1.log"
  return "$status"
}

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

# expect WORDS: checks the status code and the status of the Function URL response on standard input
expect() { python -c '
import json, sys
response = json.load(sys.stdin)
got = "{} {}".format(response["statusCode"], json.loads(response["body"])["status"])
print(got)
sys.exit(got != sys.argv[1] and f"expected {sys.argv[1]}")' "$1"
}

# emulate NAME: starts the package in the emulator, with the settings in NAME.env, the log in NAME.log and the URL in
# $emulator. The emulator starts the function at the first invocation, here one that is answered 401 and not counted.
# Rarely it answers 502 instead; then this shows its log and starts another.
emulate() {
  local port rie
  rie=$(python -c 'import os, samcli; print(os.path.dirname(samcli.__file__))')/local/rapid/aws-lambda-rie-$arch
  for _ in 1 2 3; do
    port=$(free_port)
    (
      set -a
      . "$work/$1.env"
      export AWS_LAMBDA_FUNCTION_TIMEOUT=55 AWS_LAMBDA_FUNCTION_NAME=per-user-db AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256
      exec timeout 300 "$rie" --runtime-interface-emulator-address "127.0.0.1:$port" \
        --runtime-api-address "127.0.0.1:$(free_port)" --log-level error "$bootstrap"
    ) >>"$work/$1.log" 2>&1 &
    pids+=($!)
    await "$port"
    export emulator=http://127.0.0.1:$port/2015-03-31/functions/function/invocations
    if deliver events/wrong-signature.json | expect "401 unauthorized"; then
      : >"$work/$1.log"
      return
    fi
    echo "the emulator did not start the function"
    cat "$work/$1.log"
  done
  fail "the function cannot be started"
}
deliver() { curl -sS --max-time 60 "$emulator" --data-binary "@$1"; }
export -f deliver

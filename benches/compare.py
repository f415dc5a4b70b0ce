#!/usr/bin/env python3
"""Compares the function with an empty one, behind a Runtime API on a loopback port.

    cargo build --release --bins --example hello && python3 benches/compare.py

Start is the way from exec to the first request for an invocation, and a warm call that from an invocation to its response.
The event is one that the function ignores, so that no other service takes part. Instructions are counted by valgrind and do
not depend on how busy the machine is; times are medians of runs that alternate between the two. Memory is the growth of the
resident set over many invocations.
"""

import http.server
import os
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVENT = (ROOT / "events/session-created.json").read_bytes()
SETTINGS = {
    "AWS_LAMBDA_FUNCTION_NAME": "per-user-db",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "HOOKDECK_WEBHOOK_SECRET": "local-development-secret",
    "XATA_API_KEY": "xau_fake",
    "XATA_ORGANIZATION_ID": "org123",
    "XATA_PROJECT_ID": "prj_a",
}


class RuntimeApi(http.server.ThreadingHTTPServer):
    """Hands out a number of invocations and then closes the connection, which ends the process."""

    daemon_threads = True

    def __init__(self, invocations, watch=lambda n: None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.invocations, self.watch, self.done = invocations, watch, 0
        self.first_at, self.sent_at, self.calls = None, 0, []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        api = self.server
        api.first_at = api.first_at or time.perf_counter()
        api.watch(api.done)
        if api.done == api.invocations:
            self.close_connection = True
            return
        api.done += 1
        self.send_response(200)
        for name, value in {
            "content-length": len(EVENT),
            "lambda-runtime-aws-request-id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "lambda-runtime-deadline-ms": "4102444800000",
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:per-user-db",
            "lambda-runtime-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(EVENT)
        api.sent_at = time.perf_counter()

    def do_POST(self):
        self.server.calls.append(time.perf_counter() - self.server.sent_at)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("transfer-encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        assert b'"statusCode":200' in body, body
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def run(command, api):
    environment = SETTINGS | {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{api.server_address[1]}"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return process


def instructions(binary, invocations):
    api = RuntimeApi(invocations)
    process = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary], api)
    error = process.communicate(timeout=600)[1]
    api.shutdown()
    assert api.done == invocations, error
    return int(re.search(r"Collected : (\d+)", error)[1])


def times(binary, invocations):
    """Seconds from exec to the first request, and for each warm call."""
    api = RuntimeApi(invocations)
    begun = time.perf_counter()
    run([binary], api).communicate(timeout=600)
    api.shutdown()
    return api.first_at - begun, api.calls[10:]


def memory(binary, invocations):
    """Bytes that the resident set grows by for each invocation, after the first thousand."""
    sizes = {}
    process = None

    def watch(done):
        if done in (1000, invocations):
            pages = int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            sizes[done] = pages * os.sysconf("SC_PAGE_SIZE")

    api = RuntimeApi(invocations, watch)
    process = run([binary], api)
    process.communicate(timeout=600)
    api.shutdown()
    return (sizes[invocations] - sizes[1000]) / (invocations - 1000)


def main():
    invocations = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    binaries = [ROOT / "target/release/examples/hello", ROOT / "target/release/per-user-db"]
    rows = []
    for binary in binaries:
        start, few, many = (instructions(binary, n) for n in (0, 10, 60))
        rows.append([start, (many - few) / 50])
    runs = [[times(binary, 60) for binary in binaries] for _ in range(40)]
    for row, binary, mine in zip(rows, binaries, zip(*runs)):
        row.append(1e6 * statistics.median(start for start, _ in mine))
        row.append(1e6 * statistics.median(call for _, calls in mine for call in calls))
        row += [memory(binary, invocations), binary.stat().st_size]
    print(f"{'':28}{'hello':>12}{'per-user-db':>14}{'ratio':>8}")
    names = ["start, instructions", "warm call, instructions", "start, µs", "warm call, µs", "memory per call, bytes", "binary, bytes"]
    for name, hello, ours in zip(names, *rows):
        print(f"{name:28}{hello:12,.0f}{ours:14,.0f}{f'{ours / hello:8.2f}' if hello else ''}")


if __name__ == "__main__":
    main()

"""Compares the responses to the events with the table in .ci/expected-answers.

    answers.py COMMAND...

runs the command once for each row, in the table's order, with the path of the event as its last argument. The command
prints the Function URL response.
"""

import json
import pathlib
import subprocess
import sys

EVENTS = pathlib.Path("events")


def rows():
    """The path of each event, and the expected response."""
    lines = pathlib.Path(".ci/expected-answers").read_text(encoding="utf-8").splitlines()
    table = [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]
    named, there = {name for name, _ in table}, {path.name for path in EVENTS.glob("*.json")} - {"local-env.json"}
    assert named == there, f"in only one of .ci/expected-answers and events/: {named ^ there}"
    return [(EVENTS / name, expected) for name, expected in table]


def answer(text):
    """The status code and the status of a Function URL response."""
    try:
        response = json.loads(text)
        return f"{response['statusCode']} {json.loads(response['body'])['status']}"
    except (ValueError, KeyError, TypeError):
        return f"no answer: {text!r}"


def check(invoke):
    """Compares what `invoke` returns for each event with the table."""
    for path, expected in rows():
        got = answer(invoke(path))
        print(f"{path.name:26} {got}", flush=True)
        if got != expected:
            sys.exit(f"expected {expected}")


if __name__ == "__main__":
    check(lambda path: subprocess.run([*sys.argv[1:], path], check=True, stdout=subprocess.PIPE, timeout=180).stdout)

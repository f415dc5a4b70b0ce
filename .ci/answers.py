"""The table in expected-answers, and whether an answer is the one in it.

As a program, `answers.py COMMAND...` runs the command with the path of each event behind it, in the table's order, and
compares what it prints.
"""

import json
import pathlib
import subprocess
import sys

EVENTS = pathlib.Path("events")


def rows():
    """Path of an event, and what it is answered."""
    lines = pathlib.Path(".ci/expected-answers").read_text(encoding="utf-8").splitlines()
    table = [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]
    named, there = {name for name, _ in table}, {path.name for path in EVENTS.glob("*.json")}
    assert named == there, f"in only one of .ci/expected-answers and events/: {named ^ there}"
    return [(EVENTS / name, expected) for name, expected in table]


def answer(text):
    """Status code and status of a Function URL's response."""
    try:
        response = json.loads(text)
        return f"{response['statusCode']} {json.loads(response['body'])['status']}"
    except (ValueError, KeyError, TypeError):
        return f"no answer: {text!r}"


def check(invoke):
    """Holds what `invoke` makes of each event against the table."""
    for path, expected in rows():
        got = answer(invoke(path))
        print(f"{path.name:26} {got}", flush=True)
        if got != expected:
            sys.exit(f"expected {expected}")


if __name__ == "__main__":
    check(lambda path: subprocess.run([*sys.argv[1:], path], check=True, stdout=subprocess.PIPE, timeout=180).stdout)

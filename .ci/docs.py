"""Runs the command lines of README.md and docs/, from the text.

    docs.py first   the first block of README.md, which are the first two commands of a newcomer
    docs.py rest    the others

A fence of ```sh is run, one line after the other, at the top of the repository:

- a line whose comment says "stays running" runs beside the following ones, until the block ends;
- a line that invokes the function with events/user-created.json is run with every event, and each response must be the one
  of .ci/expected-answers;
- a line that ran once is not run again;
- on an Intel or AMD machine, sam gets the parameter that README.md tells for it.

```sh account needs an account or a deployment, and ```sh long takes many minutes: they are counted, and not run.
"""

import collections
import contextlib
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

import answers
import container

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVENT = "events/user-created.json"
# Where what stays running accepts connections.
PORTS = {"cargo dev standins": 9100, "cargo dev": 9000, "cargo lambda watch": 9000}
KINDS = {"sh": "run", "sh account": "need an account or a deployment", "sh long": "take many minutes"}


def blocks():
    """The blocks of command lines: the file, the kind, and the lines, each with its comment."""
    for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]:
        for fence in re.finditer(r"^( *)```(sh\b.*)\n((?:.*\n)*?)\1```$", path.read_text(encoding="utf-8"), re.M):
            indent, kind, text = fence.groups()
            assert kind in KINDS, f"{path}: a fence of {kind}"
            lines = [line.removeprefix(indent) for line in text.splitlines()]
            yield path.relative_to(ROOT), kind, lines


def command_of(line):
    return line.split("  #")[0].strip()


def for_this_machine(command):
    if platform.machine() != "x86_64" or "--parameter-overrides" in command:
        return command
    return re.sub(r"^sam (build|local invoke)", r"\g<0> --parameter-overrides Architecture=x86_64", command)


def run(command, **options):
    return subprocess.run(["bash", "-c", command], check=True, timeout=1800, **options)


@contextlib.contextmanager
def beside(command):
    """Runs a command that stays running, and waits until it accepts connections."""
    port = next(port for name, port in PORTS.items() if command.startswith(name))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(["bash", "-c", command], stdout=log, stderr=log, start_new_session=True)
        try:
            end = time.monotonic() + 1800
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    log.seek(0)
                    assert process.poll() is None and time.monotonic() < end, log.read().decode()
                    time.sleep(0.1)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


def every_event(command):
    """Invokes the function with each event, as the command does with one."""
    with tempfile.TemporaryFile() as log:
        def invoke(path):
            return run(command.replace(EVENT, str(path)), stdout=subprocess.PIPE, stderr=log).stdout

        try:
            answers.check(invoke)
        except BaseException:
            log.seek(0)
            print(log.read().decode(), flush=True)
            raise


def run_block(lines, done):
    """Runs those lines of a block that no other block had."""
    commands = [(command_of(line), "stays running" in line) for line in lines]
    if all(command in done for command, _ in commands):
        return
    with contextlib.ExitStack() as running:
        if any("--docker" in command for command, _ in commands):
            bootstrap = ROOT / ".aws-sam/build/Function/bootstrap"
            running.enter_context(container.ready(ROOT / "target/ci-engine", bootstrap))
        for command, stays in commands:
            print(f"$ {command}", flush=True)
            if stays:
                running.enter_context(beside(command))
            elif command not in done:
                for part in map(for_this_machine, command.split(" && ")):
                    if " invoke " in part and EVENT in part:
                        every_event(part)
                    else:
                        run(part)
            done.add(command)


def main(part):
    os.chdir(ROOT)
    first, *rest = blocks()
    assert [command_of(line) for line in first[2]] == ["cargo dev", "cargo test --workspace"], first
    done = {command_of(line) for line in first[2]} if part == "rest" else set()
    for path, kind, lines in rest if part == "rest" else [first]:
        if kind == "sh":
            print(f"\n-- {path}", flush=True)
            try:
                run_block(lines, done)
            except container.NoEngine as reason:
                print(f"SKIPPED: no container engine runs here: {reason}", flush=True)
    counts = collections.Counter(kind for _, kind, _ in [first, *rest])
    print("\nblocks:", "; ".join(f"{counts[kind]} {what}" for kind, what in KINDS.items()))


if __name__ == "__main__":
    main(sys.argv[1])

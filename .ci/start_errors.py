"""Brings about each case of docs/reference.md, "When a command does not start", and looks for the message of its row."""

import os
import pathlib
import re
import shlex
import socket
import subprocess
import tempfile

page = pathlib.Path("docs/reference.md").read_text(encoding="utf-8")
section = re.search(r"### When a command does not start\n(.*?)\n### ", page, re.S).group(1)
rows = [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")]

# A compiler that says that it is an old one.
OLD_RUST = """#!/bin/sh
"$@" | sed 's/^\\(rustc\\|release:\\) 1\\.[0-9]*/\\1 1.80/'
"""
TUTORIAL = """XATA_API_KEY=xau_fake
XATA_WORKSPACE_SLUG=somebody-s-workspace-abc123
XATA_WORKSPACE_ID=abc123
HOOKDECK_WEBHOOK_SECRET=fake
CLERK_WEBHOOK_SECRET=whsec_ZmFrZQ==
"""


def output(command, cwd=None, **variables):
    """What a command says that fails within two minutes."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    result = subprocess.run(shlex.split(command), env=environment, cwd=cwd, timeout=120, check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode not in (0, None), (command, result.stdout)
    return result.stdout


with tempfile.TemporaryDirectory() as name, socket.socket() as taken:
    directory = pathlib.Path(name)
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    old = directory / "old-rust"
    old.write_text(OLD_RUST, encoding="utf-8")
    old.chmod(0o755)
    (directory / ".env").write_text(TUTORIAL, encoding="utf-8")
    dev = pathlib.Path("target/debug/dev").resolve()
    messages = [
        output("cargo dev --once", RUSTC_WRAPPER=old, CARGO_TARGET_DIR=directory / "target"),
        output("cargo dev --once", CARGO_HOME=directory / "home", CARGO_TARGET_DIR=directory / "target",
               CARGO_HTTP_PROXY="http://127.0.0.1:9", CARGO_NET_RETRY=0),
        output(f"cargo dev --port {taken.getsockname()[1]}"),
        output(f"{dev} standins --port 0 --docker", PATH="/none"),
        output(f"{dev} --live", cwd=directory),
    ]
    assert len(messages) == len(rows), rows
    for words, message in zip(rows, messages):
        assert all(word in message for word in words), (words, message)
        print(f"{words[0]}: {message.strip().splitlines()[0]}")

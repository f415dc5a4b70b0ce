"""Writes the function's bill of materials (CycloneDX) to target/per-user-db.cdx.json.

    sbom.py x86_64|arm64
"""

import json
import pathlib
import subprocess
import sys
import tomllib

TARGET = {"x86_64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}[sys.argv[1]]
HERE, BINARY = pathlib.Path.cwd(), "per-user-db_bin.cdx.json"

try:
    subprocess.run(["cargo", "cyclonedx", "--quiet", "--format", "json", "--spec-version", "1.5", "--describe", "binaries",
                    "--target", TARGET], check=True)
    text = pathlib.Path(BINARY).read_text(encoding="utf-8")
finally:
    # cargo-cyclonedx writes a file beside each manifest of the workspace.
    for path in [*HERE.glob("*.cdx.json"), *HERE.glob("*/*/*.cdx.json")]:
        path.unlink()
# The path of the build is private, and would make two builds differ.
text = text.replace(f"path+file://{HERE}#", "")
bill = json.loads(text)
assert str(HERE) not in text, "the directory is still in there"

with open("Cargo.lock", "rb") as file:
    locked = {(each["name"], each["version"]): each.get("checksum") for each in tomllib.load(file)["package"]}
components = bill["components"]
for component in components:
    (checksum,) = [each["content"] for each in component["hashes"]]
    assert component["licenses"] and checksum == locked[component["name"], component["version"]], component
names = {each["name"] for each in components}
# Packages that the function must contain, and packages that must never be linked into it.
assert {"lambda_runtime", "hyper", "rustls"} <= names and not {"standin", "cli", "dev", "ops", "axum", "stateright"} & names, names

pathlib.Path("target").mkdir(exist_ok=True)
pathlib.Path("target/per-user-db.cdx.json").write_text(text, encoding="utf-8")
print(f"target/per-user-db.cdx.json: {len(components)} packages, each with its licence and the checksum of Cargo.lock")

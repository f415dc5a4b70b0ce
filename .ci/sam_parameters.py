"""What `ops setup` writes is what a shell and sam read: sam_parameters.py OPS SETTINGS

SETTINGS is a file with the settings of the stand-ins, as `dev standins --env` prints them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from samcli.cli.types import CfnParameterOverridesType
from samcli.lib.config.samconfig import SamConfig

FOUND = ["XATA_ORGANIZATION_ID", "XATA_PROJECT_ID", "XATA_TEMPLATES", "CLERK_INSTANCE_ID"]

ops, settings = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
lines = [line for line in settings.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
given = dict(line.replace('"', "").split("=", 1) for line in lines)
given = {name: value for name, value in given.items() if name not in FOUND}
given["REGION_BY_CONTINENT"] = "EU = eu-central-1, OC = us-west-2"  # sam separates at blanks
with tempfile.TemporaryDirectory() as directory:
    shutil.copy("samconfig.toml", directory)
    subprocess.run([ops, "setup", "--yes"], cwd=directory, env=given, check=True)
    shell = ["sh", "-c", 'set -a; . ./.env; exec "$0" -c "import json, os; print(json.dumps(dict(os.environ)))"', sys.executable]
    stored = json.loads(subprocess.run(shell, cwd=directory, env={}, check=True, capture_output=True, text=True).stdout)
    expected = {name: stored[name] for name in FOUND} | {"REGION_BY_CONTINENT": given["REGION_BY_CONTINENT"]}
    expected = {"".join(map(str.capitalize, name.split("_"))): value for name, value in expected.items()}

    def read(command):
        values = SamConfig(directory, "samconfig.toml").get_all([command], "parameters", env="default")
        return CfnParameterOverridesType().convert(values["parameter_overrides"], None, None)

    deploy, build = read("deploy"), read("build")
    architecture = {"Architecture": deploy.pop("Architecture")}
    assert deploy == expected, (deploy, expected)
    assert build == architecture, build
    print(f"sam reads {len(deploy)} parameters and the architecture {architecture['Architecture']}")

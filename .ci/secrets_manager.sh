#!/usr/bin/env bash
# Checks that the function reads its secrets from Secrets Manager, which moto plays, once at start and again after a
# rotation. It needs the package that `sam build` makes, and the tools of .ci/run. It waits a minute for the rotation.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. .ci/lib.sh
trap clean_up EXIT
# `sam build` may replace the package meanwhile.
cp "$bootstrap" "$work/bootstrap"
bootstrap=$work/bootstrap

secrets_manager=$(free_port)
moto_server --host 127.0.0.1 --port "$secrets_manager" >"$work/moto.log" 2>&1 &
pids+=($!)
await "$secrets_manager"
stand_ins plain
# Moves the secrets to Secrets Manager; the other settings stay in the environment.
AWS_ACCESS_KEY_ID=fake AWS_SECRET_ACCESS_KEY=fake python - "$work/plain.env" "http://127.0.0.1:$secrets_manager" <<'PYTHON'
import boto3, json, sys
path, url = sys.argv[1:]
lines = [line for line in open(path, encoding="utf-8") if not line.startswith("#")]
settings = dict(line.rstrip("\n").replace('"', "").split("=", 1) for line in lines)
secret = {name: settings.pop(name) for name in ("HOOKDECK_WEBHOOK_SECRET", "XATA_API_KEY", "CLERK_SECRET_KEY")}
client = boto3.client("secretsmanager", endpoint_url=url)
# The template creates the secret without a value, and the operator writes it later.
arn = client.create_secret(Name="per-user-db")["ARN"]
client.put_secret_value(SecretId=arn, SecretString=json.dumps(secret))
settings |= {"SECRETS_ID": arn, "AWS_ENDPOINT_URL_SECRETS_MANAGER": url, "AWS_REGION": "us-east-1",
             "AWS_ACCESS_KEY_ID": "AKIAFAKE", "AWS_SECRET_ACCESS_KEY": "fake", "AWS_SESSION_TOKEN": "fake"}
open(f"{path[:-len('plain.env')]}secrets.env", "w", encoding="utf-8").writelines(f'{n}="{v}"\n' for n, v in settings.items())
PYTHON
asked() { grep -c '"POST / HTTP' "$work/moto.log" || true; }
before=$(asked)
emulate secrets
deliver events/user-created.json | expect "200 created"
deliver events/user-created.json | expect "200 exists"
# A 401 does not read the secrets again within a minute.
deliver events/wrong-signature.json | expect "401 unauthorized"
requests=$(($(asked) - before))
[ "$requests" = 1 ] || { cat "$work/moto.log" "$work/secrets.log"; fail "Secrets Manager was asked $requests times, not once"; }
echo "asked once"
# After a rotation to the secret of this file, the same process reads it within about a minute.
AWS_ACCESS_KEY_ID=fake AWS_SECRET_ACCESS_KEY=fake python - "http://127.0.0.1:$secrets_manager" <<'PYTHON'
import boto3, json, sys
client = boto3.client("secretsmanager", endpoint_url=sys.argv[1])
secret = json.loads(client.get_secret_value(SecretId="per-user-db")["SecretString"])
secret["HOOKDECK_WEBHOOK_SECRET"] = "somebody-elses-secret"
client.put_secret_value(SecretId="per-user-db", SecretString=json.dumps(secret))
PYTHON
for _ in $(seq 90); do
  answer=$(deliver events/wrong-signature.json)
  grep -q '"statusCode":401' <<<"$answer" || break
  sleep 1
done
expect "200 exists" <<<"$answer"
grep -q '"secrets":"renewed"' "$work/secrets.log" || { cat "$work/secrets.log"; fail "the log does not tell that the secrets were read again"; }

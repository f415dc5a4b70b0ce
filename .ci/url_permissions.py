"""Checks the permissions of the transformed template.

    url_permissions.py TEMPLATE [OUTPUT]

The public may call the Function URL and nothing else, the role may do only what ALLOWED lists, and the stack contains no
secret. With OUTPUT, writes the transformed template there, as JSON.
"""

import json
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The permissions of the role: an action, and the resource.
ALLOWED = {
    "logs:CreateLogStream": {"Fn::GetAtt": ["LogGroup", "Arn"]},
    "logs:PutLogEvents": {"Fn::GetAtt": ["LogGroup", "Arn"]},
    "secretsmanager:GetSecretValue": {"Fn::If": ["MakesSecret", {"Ref": "Secret"}, {"Ref": "SecretArn"}]},
    "kms:Decrypt": {"Ref": "SecretKeyArn"},
    "xray:PutTraceSegments": "*",
    "xray:PutTelemetryRecords": "*",
}
# Permissions that the role has under a condition only.
CONDITIONS = {"kms:Decrypt": "HasSecretKey", "xray:PutTraceSegments": "IsTraced", "xray:PutTelemetryRecords": "IsTraced"}

with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file)
template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/key"  # as `sam package` writes it
transformed = Translator({}, Parser()).translate(template, {})
resources = transformed["Resources"]

granted = {
    permission["Action"]: (permission["Principal"], permission.get("FunctionUrlAuthType"), permission.get("InvokedViaFunctionUrl"))
    for permission in (each["Properties"] for each in resources.values() if each["Type"] == "AWS::Lambda::Permission")
}
assert granted == {
    "lambda:InvokeFunctionUrl": ("*", "NONE", None),
    "lambda:InvokeFunction": ("*", None, True),
}, granted

roles = [each for each in resources.values() if each["Type"].startswith("AWS::IAM::")]
assert roles == [resources["Role"]], roles
role = resources["Role"]["Properties"]
assert "ManagedPolicyArns" not in role, role
allowed, conditions = {}, {}
for policy in role["Policies"]:
    condition = None
    if "Fn::If" in policy:
        condition, policy, otherwise = policy["Fn::If"]
        assert otherwise == {"Ref": "AWS::NoValue"}, otherwise
    for statement in policy["PolicyDocument"]["Statement"]:
        action, resource = statement["Action"], statement["Resource"]
        assert statement["Effect"] == "Allow" and isinstance(action, str) and "*" not in action, statement
        assert not isinstance(resource, list) and action not in allowed, statement
        allowed[action] = resource
        if condition:
            conditions[action] = condition
assert allowed == ALLOWED, allowed
assert conditions == CONDITIONS, conditions

function = resources["Function"]["Properties"]
assert function["Role"] == {"Fn::GetAtt": ["Role", "Arn"]}, function["Role"]
# The stack contains no value of a secret, and CloudFormation never writes one.
names = {"HOOKDECK_WEBHOOK_SECRET", "XATA_API_KEY", "CLERK_SECRET_KEY", "CLERK_WEBHOOK_SIGNING_SECRET",
         "CLERK_WEBHOOK_SECRET", "IP_API_KEY"}
variables = function["Environment"]["Variables"]
assert "SECRETS_ID" in variables and not any(variables.get(name) for name in names), variables
assert not {"SecretString", "GenerateSecretString"} & resources["Secret"]["Properties"].keys()
assert not any(each.get("NoEcho") for each in transformed["Parameters"].values())

if len(sys.argv) > 2:
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(transformed, file, indent=2)
print(f"two permissions for the URL, {len(allowed)} for the role, no secret in the stack")

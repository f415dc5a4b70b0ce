"""Asserts that the transformed template lets the public reach the Function URL, and lets nobody do more."""

import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

ROLE = "AWSLambdaBasicExecutionRole"

with open(sys.argv[1], encoding="utf-8") as file:
    template = yaml_parse(file)
template["Resources"]["Function"]["Properties"]["CodeUri"] = "s3://bucket/key"  # as `sam package` leaves it
managed_policies = {ROLE: f"arn:aws:iam::aws:policy/service-role/{ROLE}"}
transformed = Translator(managed_policies, Parser()).translate(template, {})
resources = transformed["Resources"].values()

granted = {
    permission["Action"]: (permission["Principal"], permission.get("FunctionUrlAuthType"), permission.get("InvokedViaFunctionUrl"))
    for permission in (each["Properties"] for each in resources if each["Type"] == "AWS::Lambda::Permission")
}
assert granted == {
    "lambda:InvokeFunctionUrl": ("*", "NONE", None),
    "lambda:InvokeFunction": ("*", None, True),
}, granted

(role,) = (each["Properties"] for each in resources if each["Type"] == "AWS::IAM::Role")
assert len(role["ManagedPolicyArns"]) == 1 and "Policies" not in role, role
print("two permissions for the URL, one managed policy for the role")

"""Run by the SAM CLI's own interpreter: a SAM template on stdin, the CloudFormation that AWS would make of it on stdout.

`translate.py REGION [NAME=VALUE ...]`: parameters that are not given have their defaults.
"""

import json
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = sys.argv[1]

from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

# AWS takes uploaded code only; what `sam deploy` uploads is of no matter here.
CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Application": "Location",
}

parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
template = yaml_parse(sys.stdin.read())
for resource in template["Resources"].values():
    if name := CODE.get(resource["Type"]):
        resource["Properties"][name] = (
            "https://bucket.example/template" if name == "Location" else "s3://bucket/key"
        )
json.dump(Translator({}, Parser()).translate(template, parameters), sys.stdout)

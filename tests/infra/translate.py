"""Run by the SAM CLI's own interpreter: SAM templates in, the CloudFormation that AWS would make of them out.

stdin   {name: {"template": text, "parameters": {name: value}}}; parameters that are not given have their defaults
stdout  {name: the translated template}
"""

import json
import os
import sys

os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"

import yaml
from samcli.yamlhelper import yaml_parse  # type: ignore[import-not-found]
from samtranslator.parser.parser import Parser  # type: ignore[import-not-found]
from samtranslator.translator.translator import Translator  # type: ignore[import-not-found]

yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[assignment,misc] # which the SAM CLI reads with, in a tenth of the time

# AWS takes uploaded code only; what `sam deploy` uploads is of no matter here.
CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Application": "Location",
}


def translate(text, parameters):
    template = yaml_parse(text)
    for resource in template["Resources"].values():
        if name := CODE.get(resource["Type"]):
            scheme = "https" if name == "Location" else "s3"
            resource["Properties"][name] = f"{scheme}://bucket.example/key"
    return Translator({}, Parser()).translate(template, parameters)


wanted = json.load(sys.stdin)
json.dump({name: translate(of["template"], of["parameters"]) for name, of in wanted.items()}, sys.stdout)

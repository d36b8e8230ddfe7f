"""Prints template.yaml as CloudFormation gets it, after SAM's transform. A linter finds circular references
only there: those through a serverless function or its API do not show before.

Usage: template_resources.py TEMPLATE"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        template = yaml_parse(file.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # `sam package` puts the code there.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    defaults = {name: value.get("Default") for name, value in template["Parameters"].items()}
    transformed = transform(template, defaults, managed_policy_loader=None)
    transformed.pop("Transform", None)
    json.dump(transformed, sys.stdout, default=str)


if __name__ == "__main__":
    main()

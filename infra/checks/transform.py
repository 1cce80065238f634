"""Prints the plain CloudFormation that AWS makes from a SAM template, as JSON.

    transform.py TEMPLATE BUCKET

It uses the SAM service's own translator, offline. As `sam deploy` does, it first replaces each CodeUri that names a file
by an object in BUCKET, whose key is the file's folder and name (`api/bootstrap.zip`). The files need not exist.
"""

import json
import pathlib
import sys

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The translator derives the partition (aws, aws-cn, aws-us-gov) from a region.
REGION = "us-east-1"


def upload(template, bucket):
    """Replaces each local zip by an object in the bucket, as if it were uploaded."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function" and isinstance(properties.get("CodeUri"), str):
            key = "/".join(pathlib.PurePosixPath(properties["CodeUri"]).parts[-2:])
            properties["CodeUri"] = {"Bucket": bucket, "Key": key}


def transform(template, bucket):
    upload(template, bucket)
    translator = Translator(None, Parser(), boto_session=boto3.session.Session(region_name=REGION))
    # Named managed policies would be looked up in this map; the template uses none.
    return translator.translate(sam_template=template, parameter_values={}, get_managed_policy_map=dict)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    _, path, bucket = sys.argv
    template = yaml_parse(pathlib.Path(path).read_text(encoding="utf-8"))
    try:
        json.dump(transform(template, bucket), sys.stdout, indent=2)
    except InvalidDocumentException as error:
        sys.exit("\n".join([f"{path}: {error.message}", *(str(cause.message) for cause in error.causes)]))
    print()


if __name__ == "__main__":
    main()

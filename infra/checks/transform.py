"""Prints a SAM template as the plain CloudFormation that AWS makes of it, as JSON.

    transform.py TEMPLATE BUCKET

The SAM service's own translator does the work, offline. What `sam deploy` does before it is done here as well: each
CodeUri that names a file becomes an object in BUCKET, whose key is the file's name and folder (`api/bootstrap.zip`).
The files need not exist.
"""

import json
import pathlib
import sys

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The translator asks which partition (aws, aws-cn, aws-us-gov) it works for, and takes the answer from a region.
REGION = "us-east-1"


def upload(template, bucket):
    """Puts an object in the bucket in the place of each local zip, as if it had been uploaded."""
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

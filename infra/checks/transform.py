"""The template as CloudFormation sees it: SAM's functions made plain, their code in a bucket.

Use: transform.py TEMPLATE BUCKET > plain.json
"""

import json
import sys

import yaml


class Template(yaml.SafeLoader):
    """Reads the short forms of CloudFormation's functions."""


def function(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Template.add_multi_constructor("!", function)
# A date stays the text that it is.
Template.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def plain(template, bucket):
    shared = template.pop("Globals")["Function"]
    del template["Transform"]
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        resource["Type"] = "AWS::Lambda::Function"
        properties = {**shared, **resource["Properties"]}
        folder = properties.pop("CodeUri").split("/")[-2]
        properties["Code"] = {"S3Bucket": bucket, "S3Key": f"{folder}/bootstrap.zip"}
        properties["TracingConfig"] = {"Mode": properties.pop("Tracing")}
        resource["Properties"] = properties
    return template


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        json.dump(plain(yaml.load(file, Template), sys.argv[2]), sys.stdout, indent=1)

"""Fails unless each rule of a guard file has an example that passes and one that fails, besides the empty template.

    rules_bite.py RULES TESTS

`cfn-guard test` checks the examples' outcomes, but ignores rules without examples and misspelt names of rules.
"""

import pathlib
import re
import sys

import yaml

_, rules_path, tests_path = sys.argv
# A rule with parameters is only used by other rules.
rules = set(re.findall(r"^rule (\w+) *(?:when[^{]*)?\{", pathlib.Path(rules_path).read_text(encoding="utf-8"), re.MULTILINE))
tests = yaml.safe_load(pathlib.Path(tests_path).read_text(encoding="utf-8"))

expected = {
    (rule, outcome)
    for test in tests
    for rule, outcome in test["expectations"]["rules"].items()
    # Every rule fails on the empty template, so that proves nothing.
    if test["input"] != {"Resources": {}}
}
mistakes = [f"{rule} has no example with {outcome}" for rule in sorted(rules) for outcome in ("PASS", "FAIL")
            if (rule, outcome) not in expected]
mistakes += [f"{rule} is not a rule" for rule in sorted({rule for rule, _ in expected} - rules)]
if mistakes or not rules:
    sys.exit("\n".join([f"{tests_path} does not prove {rules_path}:", *mistakes]))

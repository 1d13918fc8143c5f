#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The alerts of deploy/prometheus: Prometheus takes them, each fires when it should and not when it should not."""

from _deploy import *
from _admin import documented, promtool

RULES = os.path.join(ROOT, "deploy/prometheus/alerts.yaml")
TESTS = os.path.join(DEPLOY_TESTS, "alerts.test.yaml")


def silenced(folder):
    """What the tests say of rules that never fire."""
    rules, tests = load_all(read(RULES))[0], load_all(read(TESTS))[0]
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = "vector(0) > 1"
    tests["rule_files"] = ["rules.yaml"]
    for name, content in (("rules.yaml", rules), ("tests.yaml", tests)):
        with open(os.path.join(folder, name), "w") as file:
            yaml.dump(content, file)
    return promtool("test", "rules", os.path.join(folder, "tests.yaml"))


def main(cases):
    status, said = promtool("check", "rules", RULES)
    cases.check("promtool takes the rules", status == 0 and "SUCCESS" in said, said)
    status, said = promtool("test", "rules", TESTS)
    cases.check("the rules pass their tests", status == 0, said)

    rules, tests = load_all(read(RULES))[0]["groups"][0]["rules"], load_all(read(TESTS))[0]["tests"]
    asked = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]
    metrics = {**documented("serve.md"), **documented("node.md")}
    with tempfile.TemporaryDirectory() as folder:
        status, said = silenced(folder)
    cases.check("rules that never fire fail their tests", status != 0, said)
    for rule in rules:
        name = rule["alert"]
        cases.check(f"{name}: a test where it fires, and one where it does not", {(name, True), (name, False)} <= set(asked))
        cases.check(f"{name}: its test notices when it does not fire", re.search(rf"alertname: {name}\b", said), said)
        cases.equal(f"{name}: says what to do", set(rule["annotations"]), {"summary", "what"})
        named = set(re.findall(r"\bsynauthz_\w+", rule["expr"])) - {"synauthz_"}
        unknown = {metric for metric in named if metric.removesuffix("_bucket") not in metrics}
        cases.equal(f"{name}: is about metrics that there are", unknown, set())


run_cases(main, private=False)

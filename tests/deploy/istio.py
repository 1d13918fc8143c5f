#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/istio: Istio's own schemas accept it, and it agrees with deploy/kubernetes and with what istiod made of it.

What istiod makes of it is in tests/data/istio; istio_replay.py drives that.
"""

import copy
import re

from _deploy import *
import jsonschema

DATA = os.path.join(ROOT, "tests/data/istio")
RENDERED = ("gateway-socket", "gateway-service", "sidecar-socket", "sidecar-service")
RESOURCES = ("gateway.yaml", "sidecar.yaml", "socket.yaml", "service.yaml")
OTHERS = (
    "README.md",
    "gateway-volume.yaml",
    "sidecar-volume.yaml",
    "mesh-config-socket.yaml",
    "mesh-config-service.yaml",
)
RESET = "istio.io/dry-run"  # the annotation that turns a CUSTOM policy into a denial


def main(cases):
    cases.equal("every file is looked at", sorted(os.listdir(ISTIO)), sorted(RESOURCES + OTHERS))
    schemas = {name: strict(schema) for name, schema in json.loads(read(DATA, "schemas.json")).items()}
    for name in RESOURCES:
        for resource in load_all(read(ISTIO, name)):
            cases.equal(f"{name}: {name_of(resource)} is as Istio wants it", complaints(schemas, resource), [])
            cases.check(
                f"{name}: {name_of(resource)} is enforced, not turned round", RESET not in annotations(resource)
            )
    check_the_check(cases, schemas)
    check_providers(cases)
    check_headers(cases)
    check_volumes(cases)
    for name in RENDERED:
        check_rendered(cases, name, json.loads(read(DATA, f"{name}.json")))


# ------------------------------------------------------------------------------------------------- schemas


def strict(schema):
    """The API server drops fields that a schema does not name; here they are errors."""
    schema = copy.deepcopy(schema)
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
    for name, inner in schema.get("properties", {}).items():
        schema["properties"][name] = strict(inner)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = strict(schema[key])
    return schema


def complaints(schemas, resource):
    resource = dict(resource)
    schema = schemas[f"{resource.pop('apiVersion')}/{resource.pop('kind')}"]
    resource.pop("metadata")  # an object to the schema, whatever is in it
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(resource)]


def annotations(resource):
    return resource["metadata"].get("annotations", {})


def check_the_check(cases, schemas):
    good = {name_of(r): r for r in load_all(read(ISTIO, "gateway.yaml")) + load_all(read(ISTIO, "socket.yaml"))}

    def finds(name, change):
        resource = copy.deepcopy(good[name])
        change(resource["spec"])
        return complaints(schemas, resource) != []

    for text, name, change in (
        ("a field that is none", "AuthorizationPolicy/synauthz", lambda s: s.update(providers=[])),
        (
            "a field that is none, further in",
            "AuthorizationPolicy/synauthz",
            lambda s: s["rules"][0]["to"][0].update(x=1),
        ),
        ("a word that is none", "ServiceEntry/synauthz", lambda s: s.update(resolution="FIXED")),
        ("a number that is a text", "ServiceEntry/synauthz", lambda s: s["ports"][0].update(number="9001")),
    ):
        cases.check(f"(the schemas find {text})", finds(name, change))


# ------------------------------------------------------------------------------------------------- what must agree


def check_providers(cases):
    policies = [load_all(read(ISTIO, name))[0]["spec"] for name in ("gateway.yaml", "sidecar.yaml")]
    hosts = {}
    for way in ("socket", "service"):
        provider = only_one(load_all(read(ISTIO, f"mesh-config-{way}.yaml"))[0]["extensionProviders"])
        asked = provider["envoyExtAuthzGrpc"]
        cases.check(f"{way}: the name is a DNS label", re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", provider["name"]))
        cases.equal(f"{way}: the policies name it", {p["provider"]["name"] for p in policies}, {provider["name"]})
        cases.equal(
            f"{way}: it fails closed, in time, and says so",
            (asked["failOpen"], asked["timeout"], asked["statusOnError"]),
            (False, "0.25s", "503"),
        )
        hosts[way] = asked["service"].split("/")[1], asked["port"]
    entry = load_all(read(ISTIO, "socket.yaml"))[0]["spec"]
    cases.equal(
        "socket: the ServiceEntry is that host", (entry["hosts"][0], entry["ports"][0]["number"]), hosts["socket"]
    )
    service = load_all(read(KUBERNETES, "service/service.yaml"))[0]
    name = f"{service['metadata']['name']}.{service['metadata']['namespace']}.svc.cluster.local"
    cases.equal("service: the Service is that host", (name, service["spec"]["ports"][0]["port"]), hosts["service"])
    for way in ("socket", "service"):
        rule = load_all(read(ISTIO, f"{way}.yaml"))[-1]["spec"]
        cases.equal(f"{way}: the DestinationRule is for that host", rule["host"], hosts[way][0])
    for policy in policies:
        for rule in policy["rules"]:
            operations = [to["operation"] for to in rule["to"]]
            cases.check("rules name their ports", all(operation.get("ports") for operation in operations), operations)


def only_one(items):
    (item,) = items
    return item


def policies_of_kubernetes():
    return [load_all(read(KUBERNETES, "base", "policy.yaml"))[0]]


def headers_set(policy):
    """What deploy/kubernetes' policy tells the upstream, and x-tcp-p0f, which is always synauthz's own."""
    names = {"x-tcp-p0f"}
    for rule in policy["rules"]:
        names |= {name.lower() for name in rule.get("request_headers", {}).get("set", {})}
    return names


def check_headers(cases):
    names = set().union(*map(headers_set, policies_of_kubernetes()))
    cases.check("the policy sets headers", len(names) > 1, names)
    for file in ("gateway.yaml", "sidecar.yaml"):
        filters = {r["metadata"]["name"]: r["spec"] for r in load_all(read(ISTIO, file)) if r["kind"] == "EnvoyFilter"}
        patterns = removed_by(filters["synauthz-headers"])
        for spelling in sorted({name.replace("-", separator) for name in names for separator in "-_"}):
            cases.check(
                f"{file}: {spelling} is removed on every path", any(re.fullmatch(p, spelling) for p in patterns)
            )
        for other in ("x-client-id", "x-tcpdump", "tcp-x", "x-request-id", "x-fingerprint"):
            cases.check(f"{file}: {other} is left alone", not any(re.fullmatch(p, other) for p in patterns))
        selectors = {str(spec["workloadSelector"]["labels"]) for spec in filters.values()}
        policy = load_all(read(ISTIO, file))[0]["spec"]
        cases.equal(f"{file}: the same workload throughout", selectors, {str(policy["selector"]["matchLabels"])})


def removed_by(spec):
    mutations = spec["configPatches"][0]["patch"]["value"]["typed_config"]["mutations"]["request_mutations"]
    return [mutation["remove_on_match"]["key_matcher"]["safe_regex"]["regex"] for mutation in mutations]


def check_volumes(cases):
    base = only_one(r for r in kustomize(os.path.join(KUBERNETES, "base")) if r["kind"] == "DaemonSet")
    spec = base["spec"]["template"]["spec"]
    folder = next(volume["hostPath"]["path"] for volume in spec["volumes"] if volume["name"] == "socket")
    entry = load_all(read(ISTIO, "socket.yaml"))[0]["spec"]["endpoints"][0]["address"]
    for name, (volume, mount) in (("gateway", gateway_volume()), ("sidecar", sidecar_volume())):
        cases.equal(f"{name}: mounts the folder that the server's socket is in", volume["hostPath"]["path"], folder)
        cases.equal(f"{name}: where the ServiceEntry looks", f"unix://{mount['mountPath']}/authz.sock", entry)
        cases.equal(f"{name}: read-only", mount["readOnly"], True)


def gateway_volume():
    values = load_all(read(ISTIO, "gateway-volume.yaml"))[0]
    return only_one(values["volumes"]), only_one(values["volumeMounts"])


def sidecar_volume():
    given = load_all(read(ISTIO, "sidecar-volume.yaml"))[0]["spec"]["template"]["metadata"]["annotations"]
    return [
        only_one(json.loads(given[f"sidecar.istio.io/{name}"]).values()) for name in ("userVolume", "userVolumeMount")
    ]


# ------------------------------------------------------------------------------------------------- what istiod made of it


def check_rendered(cases, name, dump):
    """The traps of the rendered form: an unknown provider, rules that deny, a filter that is not asked."""
    proxy, way = name.split("-")
    provider = load_all(read(ISTIO, f"mesh-config-{way}.yaml"))[0]["extensionProviders"][0]["envoyExtAuthzGrpc"]
    host, port = provider["service"].split("/")[1], provider["port"]
    managers = http_filters(dump, "0.0.0.0_8080" if proxy == "gateway" else "virtualInbound")
    for filters in managers:
        names = [item["name"] for item in filters]
        cases.check(
            f"{name}: forged headers go first, then it is asked, then the rest",
            names[0] == "synauthz.headers" and 0 < names.index("envoy.filters.http.ext_authz") < len(names) - 1,
            names,
        )
        check_filters(cases, name, filters, provider, f"outbound|{port}||{host}")
    check_cluster(cases, name, way, dump, f"outbound|{port}||{host}")


def check_filters(cases, name, filters, provider, cluster):
    authz = next(item["typedConfig"] for item in filters if item["name"] == "envoy.filters.http.ext_authz")
    service = authz["grpcService"]
    cases.equal(f"{name}: asked is the provider", service["envoyGrpc"]["clusterName"], cluster)
    cases.equal(f"{name}: with its timeout", float(service["timeout"][:-1]), float(provider["timeout"][:-1]))
    cases.check(f"{name}: with retries", "cancelled" in service["retryPolicy"]["retryOn"], service)
    cases.equal(
        f"{name}: it fails closed, with 503",
        (authz.get("failureModeAllow", False), authz["statusOnError"]["code"]),
        (False, "ServiceUnavailable"),
    )
    rbac = next(item["typedConfig"] for item in filters if item["name"] == "envoy.filters.http.rbac")
    rules = sorted(set(rbac) - {"@type"})
    cases.equal(f"{name}: the rules choose and do not deny", rules, ["shadowRules", "shadowRulesStatPrefix"])


def http_filters(dump, listener):
    """Of each connection manager for HTTP in the listener."""
    return [
        item["typedConfig"]["httpFilters"]
        for chain in next(l for l in dump["listeners"] if l["name"] == listener)["filterChains"]
        for item in chain["filters"]
        if item["name"] == "envoy.filters.network.http_connection_manager"
    ]


def check_cluster(cases, name, way, dump, cluster):
    addresses = [
        endpoint["endpoint"]["address"]
        for load in dump["endpoints"]
        if load["clusterName"] == cluster
        for locality in load["endpoints"]
        for endpoint in locality["lbEndpoints"]
    ]
    wanted = {
        "socket": [{"pipe": {"path": "/run/synauthz/authz.sock"}}],
        "service": [{"socketAddress": {"address": "10.1.0.11", "portValue": 9001}}],  # and not node-b's
    }
    cases.equal(f"{name}: the answer is on the same node", addresses, wanted[way])
    found = next(c for c in dump["clusters"] if c["name"] == cluster)
    cases.equal(f"{name}: in plain text", found.get("transportSocket"), None)
    cases.equal(f"{name}: by HTTP/2", "http2ProtocolOptions" in json.dumps(found), True)
    cases.equal(f"{name}: retries are bounded", found["circuitBreakers"]["thresholds"][0]["maxRetries"], 1024)


run_cases(main, private=False)

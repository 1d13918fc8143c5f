# SPDX-License-Identifier: Apache-2.0
"""What the scripts of this part share: YAML, the bundled schemas, and a small kustomize."""

import copy
import glob
import hashlib
import json
import os
import site
import sys
import tempfile

sys.dont_write_bytecode = True
DEPLOY_TESTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(DEPLOY_TESTS, "../e2e"))
from _cases import *  # noqa: F403 - all of it is meant

KUBERNETES, ISTIO = (os.path.join(ROOT, "deploy", name) for name in ("kubernetes", "istio"))
COMPOSITIONS = ("base", "node-device", "service", "cleanup")


def use_validator():
    """Makes kubernetes-validate and what it brings along (PyYAML, jsonschema) importable."""
    with open(os.path.join(DEPLOY_TESTS, "kubernetes-validate.version")) as file:
        version = file.read().strip()
    folder = os.path.join(os.environ.get("SYNAUTHZ_CACHE", "/var/cache/synauthz"), f"kubernetes-validate-{version}")
    packages = glob.glob(os.path.join(folder, "lib/python3*/site-packages"))
    if not packages:
        sys.exit(f"{folder} is not there: deploy/install-deps test")
    site.addsitedir(packages[0])


use_validator()
import yaml  # noqa: E402


class StrictLoader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):
    """Refuses what kubectl refuses or reads otherwise: repeated keys, anchors and merge keys."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = {key for key in keys if keys.count(key) > 1}
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"repeated key {repeated}", node.start_mark)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node):
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "a merge key", node.start_mark)


def load_all(text):
    return [document for document in yaml.load_all(text, StrictLoader) if document is not None]


def read(*path):
    with open(os.path.join(*path)) as file:
        return file.read()


def name_of(resource):
    return f"{resource['kind']}/{resource['metadata']['name']}"


# --------------------------------------------------------------------------------------------------- kustomize
#
# As much of it as deploy/kubernetes uses; what it does not know it refuses.


class Unknown(Exception):
    """A kustomization says something that this does not do."""


def kustomize(folder):
    """The resources that `kubectl kustomize FOLDER` prints."""
    return finish(accumulate(folder))


def accumulate(folder):
    kustomization = only(
        load_all(read(folder, "kustomization.yaml"))[0],
        "apiVersion kind resources configMapGenerator patches".split(),
    )
    resources = []
    for name in kustomization["resources"]:
        path = os.path.join(folder, name)
        resources += accumulate(path) if os.path.isdir(path) else load_all(read(path))
    for generator in kustomization.get("configMapGenerator", []):
        generate(resources, folder, generator)
    for patch in kustomization.get("patches", []):
        apply_patch(resources, **only(patch, ["target", "patch"]))
    return resources


def only(mapping, known):
    unknown = set(mapping) - set(known)
    if unknown:
        raise Unknown(f"{unknown}, known are {known}")
    return mapping


def generate(resources, folder, generator):
    only(generator, "name namespace behavior files options".split())
    data = {name: read(folder, name) for name in generator["files"]}
    if generator.get("behavior") == "merge":
        find(resources, kind="ConfigMap", name=generator["name"])["data"].update(data)
        return
    metadata = {"name": generator["name"], "namespace": generator["namespace"]}
    metadata.update(only(generator.get("options", {}), ["labels"]))
    resources.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def find(resources, kind, name):
    found = [resource for resource in resources if name_of(resource) == f"{kind}/{name}"]
    if len(found) != 1:
        raise Unknown(f"{len(found)} resources are {kind}/{name}")
    return found[0]


def apply_patch(resources, target, patch):
    """JSON patches (RFC 6902) that add and replace."""
    resource = find(resources, **only(target, ["kind", "name"]))
    for operation in load_all(patch)[0]:
        only(operation, ["op", "path", "value"])
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place = resource
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if operation["op"] == "add" and isinstance(place, list) and last == "-":
            place.append(operation["value"])
        elif operation["op"] == "replace" and isinstance(place, dict) and last in place:
            place[last] = operation["value"]
        else:
            raise Unknown(f"{operation['op']} at {operation['path']}")


def finish(resources):
    """Names of ConfigMaps end in a hash of their content, also where they are referred to."""
    resources = copy.deepcopy(resources)
    names = {}
    for resource in resources:
        if resource["kind"] == "ConfigMap":
            metadata = resource["metadata"]
            names[metadata["name"]] = metadata["name"] = f"{metadata['name']}-{hash_of(resource)}"
    for resource in resources:
        if resource["kind"] == "DaemonSet":
            for volume in resource["spec"]["template"]["spec"]["volumes"]:
                if "configMap" in volume:
                    volume["configMap"]["name"] = names[volume["configMap"]["name"]]
    return resources


def hash_of(config_map):
    """As kustomize makes it: ten digits of a SHA-256, without those that could form words; the name does not count."""
    told = {"kind": "ConfigMap", "name": "", "data": config_map["data"]}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "&<>":  # as Go does
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))

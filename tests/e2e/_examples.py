# SPDX-License-Identifier: Apache-2.0
"""What the scripts share that drive the Envoy configurations of envoy/."""

from _admin import *


def bootstraps():
    """The examples, as paths below envoy/."""
    found = []
    for folder, _, names in os.walk(HERE):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(".yaml") and "\nstatic_resources:" in text_of(path):
                found.append(os.path.relpath(path, HERE))
    return sorted(found)


def text_of(path):
    """Of a file of the tree; an example's path may be below envoy/."""
    with open(os.path.join(HERE, path)) as file:
        return file.read()


def files_they_name():
    """Folders, certificates and keys where the examples have them, and the module."""
    os.mkdir("/run/envoy")
    key, certificate = os.path.join(SCRATCH, "key"), os.path.join(SCRATCH, "certificate")
    sh(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
        *f"-keyout {key} -out {certificate} -subj /CN=lab.test".split(),
    )
    for name in bootstraps():
        for path in re.findall(r"filename: (/run/[\w/.-]+)", text_of(name)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copy(key if "key" in os.path.basename(path) else certificate, path)
    module = os.path.join(os.path.dirname(find_synauthz()), "synauthz-filter.wasm")
    shutil.copy(module, "/run/envoy/synauthz-filter.wasm")


@contextlib.contextmanager
def example(lab, config, policy, *options, port=PORT):
    """synauthz with one policy, and Envoy with one configuration."""
    policy = lab.copy(os.path.join(HERE, policy))
    server = lab.serve(policy, *options, "--admin", "unix:/run/lab/admin", ports=(port,))
    envoy = lab.start_envoy(config=config, port=port)
    try:
        yield envoy
    finally:
        envoy.stop()
        server.stop()


def changed(lab, config, old, new):
    """The path of an example with one text changed."""
    text = text_of(config)
    if text.count(old) != 1:
        raise LabError(f"{config} has `{old}` {text.count(old)} times")
    return lab.write("changed.yaml", text.replace(old, new))


def metric(lab, name, **labels):
    """The sum over all series, or over those with these labels."""
    return Metrics(lab, "/run/lab/admin").value(name, **labels)

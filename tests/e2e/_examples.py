# SPDX-License-Identifier: Apache-2.0
"""What the scripts share that drive the Envoy configurations of envoy/."""

from _cases import *


def files_they_name():
    """Certificates and folders, where the examples have them."""
    os.mkdir("/run/envoy")
    os.mkdir("/run/secrets")
    shutil.copy(os.path.join(os.path.dirname(find_synauthz()), "synauthz-filter.wasm"), "/run/envoy")
    sh(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
        *"-keyout /run/secrets/tls.key -out /run/secrets/tls.crt -subj /CN=lab.test".split(),
    )


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
    with open(os.path.join(HERE, config)) as file:
        text = file.read()
    if text.count(old) != 1:
        raise LabError(f"{config} has `{old}` {text.count(old)} times")
    return lab.write("changed.yaml", text.replace(old, new))


def metric(name, labels=""):
    """The sum over all series, or over those with these labels."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("/run/lab/admin")
        connection.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        page = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return sum(int(value) for value in re.findall(rf"^{name}{{.*{labels}.*}} (\d+)$", page, re.M))

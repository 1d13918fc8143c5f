# SPDX-License-Identifier: Apache-2.0
"""Certificates for Envoy's listeners and for clients, and the settings of both sides."""

import os
import ssl

from lab import sh

FOLDER = "/run/lab/tls"
KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split()
API = "type.googleapis.com/envoy.extensions.transport_sockets."
LONG = 20  # names in the client's certificate, which make it several KiB


def make_certificates():
    """ca, server and client: NAME.crt and NAME.key below FOLDER."""
    os.mkdir(FOLDER)
    _openssl("-x509", "-keyout", _file("ca.key"), "-out", _file("ca.crt"), "-subj", "/CN=authority")
    _sign("server", "DNS:lab.test")
    names = ",".join(f"DNS:{number}.{'x' * 60}.{'y' * 60}.test" for number in range(LONG))
    _sign("client", f"URI:spiffe://lab.test/client,{names}")


def _file(name):
    return os.path.join(FOLDER, name)


def _openssl(*argv):
    sh("openssl", "req", *KEY, *argv)


def _sign(name, alternative_names):
    with open(_file(f"{name}.ext"), "w") as file:
        file.write(f"subjectAltName={alternative_names}\n")
    _openssl("-keyout", _file(f"{name}.key"), "-out", _file(f"{name}.csr"), "-subj", f"/CN={name}")
    sh(
        *("openssl", "x509", "-req", "-in", _file(f"{name}.csr"), "-CA", _file("ca.crt"), "-CAkey", _file("ca.key")),
        *("-CAcreateserial", "-days", "2", "-extfile", _file(f"{name}.ext"), "-out", _file(f"{name}.crt")),
    )


def server_transport(mutual=False, quic=False):
    """What an Envoy listener's chain has under transport_socket."""
    certificate = {
        "certificate_chain": {"filename": _file("server.crt")},
        "private_key": {"filename": _file("server.key")},
    }
    common = {"tls_certificates": [certificate]}
    if mutual:
        common["validation_context"] = {"trusted_ca": {"filename": _file("ca.crt")}}
    downstream = {"common_tls_context": common, **({"require_client_certificate": True} if mutual else {})}
    if quic:
        kind = {"@type": API + "quic.v3.QuicDownstreamTransport", "downstream_tls_context": downstream}
        return {"name": "envoy.transport_sockets.quic", "typed_config": kind}
    kind = {"@type": API + "tls.v3.DownstreamTlsContext", **downstream}
    return {"name": "envoy.transport_sockets.tls", "typed_config": kind}


def client_context(mutual=False):
    context = ssl.create_default_context(cafile=_file("ca.crt"))
    if mutual:
        context.load_cert_chain(_file("client.crt"), _file("client.key"))
    return context

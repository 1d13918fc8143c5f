#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`serve --source pcap:FILE` and `--source none` behind Envoy: what is not known is neither yes nor no."""

from _cases import *

# %ON_UNKNOWN% is for a rule about a signature, which without a SYN can be neither matched nor ruled out.
POLICY = """\
version: 1
rules:
  - id: show-state
    then: continue
    request_headers: {set: {x-tcp-state: "%{fingerprint.state}", x-tcp-p0f: "%{p0f}", x-tcp-os: "%{p0f|nothing known}"}}
  - id: by-state
    when: {all: [{http.path: /state}, {fingerprint.state: missing}]}
    then: deny
    respond: {status: 409}
  - id: by-signature
    when: {all: [{http.path: /signature}, {signature: "4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"}]}
    then: deny
    respond: {status: 410}
    on_unknown: %ON_UNKNOWN%
  - id: by-not-signature
    when: {all: [{http.path: /not-signature}, {not: {signature: "4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"}}]}
    then: deny
    respond: {status: 411}
    on_unknown: %ON_UNKNOWN%
default: allow
on_unknown: skip
"""
FORGED = [("x-tcp-p0f", "forged"), ("x-tcp-state", "forged")]


def serve(lab, on_unknown, source):
    return lab.serve(lab.write("policy.yaml", POLICY.replace("%ON_UNKNOWN%", on_unknown)), "--source", source)


def from_capture(cases, lab):
    recording = lab.record_syns()
    recorded = {"IPv4": Connection(lab), "IPv6": Connection(lab, SERVER_IPV6)}
    truth = recording.signatures()
    late = Connection(lab)
    os.chmod(recording.pcap, 0o644)
    server = serve(lab, "skip", f"pcap:{recording.pcap}")
    wait_until(lambda: late.get().status == 200, 10, "Envoy to find the server")
    for version, connection in recorded.items():
        reply = connection.get("/", FORGED)
        cases.equal(
            f"capture file, {version}: p0f's signature", reply.upstream("x-tcp-p0f"), [truth.get(connection.local)]
        )
        cases.equal(f"capture file, {version}: not proved by a socket", reply.upstream("x-tcp-state"), ["captured"])
    cases.equal("capture file: a rule on the signature fires", recorded["IPv4"].get("/signature").status, 410)
    cases.equal("capture file: its negation does not", recorded["IPv4"].get("/not-signature").status, 200)
    reply = late.get("/", FORGED)
    cases.equal("capture file: a connection that is not in it is missing", reply.upstream("x-tcp-state"), ["missing"])
    cases.equal("capture file: and has no signature, nor the client's", reply.upstream("x-tcp-p0f"), [])
    server.stop()


def from_nowhere(cases, lab):
    connection = Connection(lab)
    server = serve(lab, "skip", "none")
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    reply = connection.get("/", FORGED)
    cases.equal("no source: the state is known", reply.upstream("x-tcp-state"), ["missing"])
    cases.equal(
        "no source: a header whose fact has no value is not sent, nor the client's", reply.upstream("x-tcp-p0f"), []
    )
    cases.equal("no source: a template's default", reply.upstream("x-tcp-os"), ["nothing known"])
    cases.equal("no source: a rule on the state fires", connection.get("/state").status, 409)
    for path in ("/signature", "/not-signature"):
        cases.equal(f"no source, on_unknown skip: {path} goes on", connection.get(path).status, 200)
    server.stop()

    server = serve(lab, "deny", "none")
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    for path, status in (("/signature", 410), ("/not-signature", 411)):
        cases.equal(
            f"no source, on_unknown deny: {path} ends there, as the rule answers", connection.get(path).status, status
        )
    cases.equal(
        "no source, on_unknown deny: where the path already says no, nothing is unknown",
        connection.get("/else").status,
        200,
    )
    server.stop()


def main(cases):
    lab = Lab()
    lab.start_upstream()
    lab.start_envoy()
    from_capture(cases, lab)
    from_nowhere(cases, lab)


run_cases(main)

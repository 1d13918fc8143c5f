#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy-wasm filter of envoy/wasm in a real Envoy: what it does with requests, and what it says of mistakes."""

from _examples import *


def requests(cases, lab):
    config = "wasm/envoy.yaml"
    with example(lab, config, "policy.yaml"):
        connection = Connection(lab)
        replies = [connection.get("/", [("x-client-state", "forged")]) for _ in range(50)]
        cases.equal(
            "a verified client gets through, and is told so",
            {(reply.status, reply.header("x-client-state")) for reply in replies},
            {(200, "verified")},
        )
    with example(lab, config, "policy.yaml", "--source", "none"):
        reply = Connection(lab).get()
        cases.equal("a value that it refuses", (reply.status, reply.received), (403, None))
    url = "https://example.org/who-are-you"
    redirecting = changed(lab, config, f"# redirect: {url}", f"redirect: {url}")
    with example(lab, redirecting, "policy.yaml", "--source", "none"):
        reply = Connection(lab).get()
        cases.equal("or sends elsewhere", (reply.status, reply.header("location")), (302, url))
        reply = Connection(lab).get("/", [("content-type", "application/grpc")])
        cases.equal("a gRPC client is told in its own way", (reply.status, reply.header("grpc-status")), (200, "7"))
    with example(lab, changed(lab, config, "key: p0f.state", "key: p0f.nothing"), "policy.yaml"):
        cases.equal("no such metadata, `absent: refuse`", Connection(lab).get().status, 403)
    with example(lab, changed(lab, config, "key: p0f.state", "key: p0f"), "policy.yaml"):
        cases.equal("metadata that is no text counts as absent", Connection(lab).get().status, 403)
    with example(lab, changed(lab, config, "absent: refuse", "absent: pass"), "policy.yaml") as envoy:
        many = [Connection(lab) for _ in range(20)]
        told = [many[n % 20].get().header("x-client-state") for n in range(200)]
        cases.equal("many connections", told, ["verified"] * 200)
        cases.check("Envoy has no complaint", "wasm" not in envoy.output().lower(), envoy.output()[-500:])
    families = changed(lab, config, "key: p0f.state", "key: p0f.family")
    with example(lab, families, "rbac.policy.yaml"):
        reply = Connection(lab).get()
        cases.equal("by the system's family", (reply.status, reply.header("x-client-state")), (200, "linux"))
    with example(lab, changed(lab, families, "refuse: missing", "refuse: linux"), "rbac.policy.yaml"):
        cases.equal("which it may refuse", Connection(lab).get().status, 403)
    lying = "cluster: upstream}, response_headers_to_add: [{header: {key: x-client-state, value: lie}}]}]"
    lying = changed(lab, config, "cluster: upstream}}]", lying)
    with example(lab, lying, "policy.yaml"):
        reply = Connection(lab).get()
        cases.equal("an upstream cannot say otherwise", (reply.status, reply.header("x-client-state")), (200, "verified"))
    absent_passes = changed(lab, lying, "absent: refuse", "absent: pass")
    with example(lab, changed(lab, absent_passes, "key: p0f.state", "key: p0f.nothing"), "policy.yaml"):
        reply = Connection(lab).get()
        cases.equal("`absent: pass`, and nobody tells", (reply.status, reply.header("x-client-state")), (200, None))


MISTAKES = (
    ("key: p0f.state", "key: p0f.", "line 2: expected names with dots between them"),
    ("key: p0f.state", "key: .p0f", "line 2: expected names with dots between them"),
    ("key: p0f.state", "key: " + "k" * 200, "line 2: the value is too long"),
    ("key: p0f.state", "# none", "configuration: `key` is missing"),
    ("key: p0f.state", "kex: p0f.state", "line 2: unknown name, there are key,"),
    ("key: p0f.state", "key p0f.state", "line 2: expected `name: value`"),
    ("response-header: x-client-state", "response-header: X Client", "line 4: expected a header's name"),
    ("response-header: x-client-state", "response-header: " + "x" * 65, "line 4: the value is too long"),
    ("refuse: missing", "key: rule", "line 6: given twice"),
    ("absent: refuse", "absent: perhaps", "line 9: expected refuse or pass"),
    ("absent: refuse", "# none", "configuration: `absent` is missing"),
    ("# Each of these is answered 403 ...", "#" + "x" * 70000, "configuration: it cannot be read, or is too long"),
    ("absent: refuse", "redirect: \u00e9", "line 9: expected ASCII"),
)


def configurations(cases, lab):
    for old, new, message in MISTAKES:
        config = changed(lab, "wasm/envoy.yaml", f" {old}\n", f" {new}\n")
        done = subprocess.run(
            [find_envoy(), "--mode", "validate", "--config-path", config],
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        cases.check(f"`{new[:40]}` is refused", done.returncode == 1 and message in done.stdout, done.stdout[-600:])


def main(cases):
    lab = Lab()
    files_they_name()
    lab.start_upstream()
    requests(cases, lab)
    configurations(cases, lab)


run_cases(main)

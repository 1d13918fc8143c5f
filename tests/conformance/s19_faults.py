# SPDX-License-Identifier: Apache-2.0
"""19-23: no answer, or none in time."""

import time

from _envoy import Http
from _scenario import scenario
from _tap import Cut, Forward, Hold, Status
from _world import NO_PINS
from lab import wait_until

OPEN = {"failure_mode_allow": True, "failure_mode_allow_header_add": True}
FAILED_OPEN = "x-envoy-auth-failure-mode-allowed"


def failed_closed(t, reply, status):
    t.equal("failing closed", reply.status, status)
    log = t.log(reply)
    t.equal("flags and details", (log["flags"], log["details"]), ("UAEX", "ext_authz_error"))


def failed_open(t, reply):
    t.equal("failing open", reply.status, 200)
    t.equal("said to the upstream", reply.upstream(FAILED_OPEN), ["true"])


@scenario(
    19,
    "gRPC status UNAVAILABLE",
    {
        "main": Http(cluster="s19"),
        "status": Http(cluster="s19", authz={"status_on_error": {"code": 503}}),
        "open": Http(cluster="s19", authz=OPEN),
        "scripted": Http(authz={"status_on_error": {"code": 503}}),
    },
    clusters={"s19": "/run/lab/s19.sock"},
    about="synauthz",
)
def unavailable(t):
    """status_on_error where the filter fails closed (403 by default); forwarded, and said so, where it fails open"""
    server = t.world.serve(
        "s19",
        t.lab.write("s19.yaml", "version: 1\nrules: []\ndefault: allow\n"),
        source=NO_PINS,
    )
    failed_closed(t, t.get(), 403)
    failed_closed(t, t.get(listener="status"), 503)
    failed_open(t, t.get(listener="open"))
    t.equal("counted as errors", [t.stat("error", name) for name in ("main", "status", "open")], [1, 1, 1])
    t.equal("counted as let in", t.stat("failure_mode_allowed", "open"), 1)
    for code in (2, 8, 13, 14):
        t.script(Status(code), listener="scripted")
        t.equal(f"gRPC status {code}", t.get(listener="scripted").status, 503)
    t.equal("the server ends", server.stop(), 0)


SHORT = {"grpc_service": {"timeout": "0.2s"}}


def answered_again(t):
    """A busy machine may take longer than SHORT now and then, but not always."""

    def answered():
        reply = t.get()
        return reply.status == 200 and not reply.upstream(FAILED_OPEN)

    wait_until(answered, 60, "a Check that is answered in time")


@scenario(20, "Timeout, failing closed", Http(authz=SHORT), about="envoy")
def timeout_closed(t):
    """403"""
    t.script(Hold())
    failed_closed(t, t.get(), 403)
    t.equal("counted as errors", t.stat("error"), 1)
    call = t.tap.wait_calls(t.name(), 1)[0]
    t.equal("the call was cancelled", call.cancelled, True)
    answered_again(t)


@scenario(21, "Timeout, failing open", Http(authz={**SHORT, **OPEN}), about="envoy")
def timeout_open(t):
    """200, x-envoy-auth-failure-mode-allowed: true at the upstream"""
    t.script(Hold())
    failed_open(t, t.get())
    t.equal("counted as let in", t.stat("failure_mode_allowed"), 1)
    answered_again(t)


CANCELLED = 50


@scenario(22, "The client goes away while the server works")
def cancelled(t):
    """Envoy cancels the call, the server frees it (no leak under ASan) and answers the next"""
    t.script(*[Cut()] * CANCELLED)
    for number in range(CANCELLED):
        client = t.http1() if number % 2 else t.http2()
        if number % 2:
            client.send(f"GET {t.path} HTTP/1.1\r\nhost: conformance.test\r\n\r\n".encode())
        else:
            client.start("GET", t.path)
        t.tap.wait_started(t.name(), number + 1)
        client.close()
    calls = t.calls(CANCELLED)
    t.equal("cancelled by Envoy", sum(call.cancelled for call in calls), CANCELLED)
    t.equal("arrived at the upstream", t.upstream.arrived(t.path), [])
    t.equal("the next one is answered", t.get().status, 200)
    if t.world.synauthz:
        t.equal("calls that the server still holds", settled(t, "synauthz_calls_in_flight", 0), 0)


def settled(t, metric, wanted, seconds=20):
    """A metric of synauthz's once it is `wanted`, else what it is in the end."""
    deadline = time.monotonic() + seconds
    while (value := t.world.metric(metric)) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


RETRY = {"retry_policy": {"retry_on": "unavailable", "num_retries": 1}}


@scenario(23, "Retry after a failure", Http(authz={"grpc_service": RETRY}))
def retried(t):
    """the second attempt succeeds, on the same connection"""
    t.script(Status(14), Forward())
    t.equal("status", t.get().status, 200)
    first, second = t.calls(2)
    t.equal("gRPC status of both attempts", (first.status, second.status), (14, 0))
    t.equal("connection of the second", second.connection, first.connection)
    t.equal("counted as errors", t.stat("error"), 0)
    t.script(Status(14), Status(14))
    t.equal("two failures", t.get().status, 403)

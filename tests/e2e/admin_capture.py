#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the server's admin pages say while capture comes, goes stale, degrades and ends."""

from _admin import *

ADMIN = ("127.0.0.1", 9102)
ADMIN_OPTION = ("--admin", "%s:%d" % ADMIN)
EXTRA_DEVICE = "lab-extra"
STALE_S = 5
POLICY = """\
version: 1
rules:
  - id: no-entry
    when: {http.path: {prefix: /deny}}
    then: deny
  - id: no-stranger
    when: {http.path: {prefix: /strict}, p0f: {prefix: "9:"}}
    on_unknown: deny
    then: deny
  - id: enrich
    when: {fingerprint.state: verified}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}"}}
default: allow
on_unknown: skip
"""


def start_agent(lab, *options):
    options = options or ("--interface", SERVER_DEVICE)
    return lab.start(
        "agent", find_synauthz(), "agent", "--capture", "tcx", "--port", str(PORT), *options
    ).wait_for("ready")


def pins(lab, policy, *options, **more):
    return lab.serve(policy, "--source", "pins", *ADMIN_OPTION, *options, **more)


def health(lab):
    done = synauthz(lab, "healthcheck", f"unix:{SOCKET}")
    return done.returncode, done.stdout.strip()


def without_agent(cases, lab, policy):
    begun = time.monotonic()
    server = pins(lab, policy)
    cases.check("no agent: the server is up at once", time.monotonic() - begun < 5, time.monotonic() - begun)
    page = ask(lab, ADMIN, "/readyz")
    cases.check("no agent: /readyz says capture_absent", page.status == 503 and "capture_absent: " in page.body, page)
    cases.equal("no agent: /livez", ask(lab, ADMIN, "/livez").status, 200)
    cases.equal("no agent: gRPC health is SERVING", health(lab), (0, "serving"))
    cases.equal("no agent: synauthz_ready", Metrics(lab, ADMIN).value("synauthz_ready"), 0)
    cases.equal("no agent: the pins' state", Metrics(lab, ADMIN).value("synauthz_pins_state", state="absent"), 1)
    connection = Connection(lab)
    cases.equal("no agent: a Check is our fault, Envoy's failure mode decides", connection.get().status, 503)
    metrics = Metrics(lab, ADMIN)
    faults = metrics.value("synauthz_checks_total", verdict="error", reason="fault")
    cases.check("each of Envoy's tries is counted", 1 <= faults <= 4, faults)
    cases.equal("and so is the look-up", metrics.value("synauthz_lookups_total", state="unavailable"), faults)
    return server


def agent_comes(cases, lab, server):
    agent = start_agent(lab, "--interface", SERVER_DEVICE, "--interface", EXTRA_DEVICE)
    wait_for_page(lab, ADMIN, "/readyz", 200)
    cases.check("the agent comes: /readyz turns true", True)
    metrics = Metrics(lab, ADMIN)
    cases.equal("synauthz_ready", metrics.value("synauthz_ready"), 1)
    cases.equal("the pins' state", metrics.value("synauthz_pins_state", state="fresh"), 1)
    cases.equal("a set was taken into use", metrics.value("synauthz_pins_swaps_total"), 1)
    cases.equal("SYNs are verified", metrics.value("synauthz_pins_tracked"), 1)
    cases.check("the heartbeat is fresh", metrics.value("synauthz_heartbeat_age_seconds") < 3)

    connection = Connection(lab)
    for path, status in (("/", 200), ("/deny", 403), ("/strict", 200)):
        cases.equal(f"GET {path}", connection.get(path).status, status)
    cases.equal("and the signature is there", len(connection.get().upstream("x-tcp-p0f")), 1)
    metrics = Metrics(lab, ADMIN)
    cases.equal("allowed by default: 3", metrics.value("synauthz_checks_total", verdict="allow", reason="default"), 3)
    cases.equal("denied by a rule: 1", metrics.value("synauthz_checks_total", verdict="deny", reason="rule"), 1)
    cases.equal("verified: 4", metrics.value("synauthz_lookups_total", state="verified"), 4)
    cases.equal("in flight: none", metrics.value("synauthz_calls_in_flight"), 0)
    return agent, connection


def device_goes(cases, lab):
    lab.server.ip("link", "del", EXTRA_DEVICE)
    wait_for_page(lab, ADMIN, "/readyz", 503, "capture_degraded: ")
    cases.check("a device goes: /readyz says capture_degraded", True)
    cases.equal("a device goes: gRPC health is SERVING", health(lab), (0, "serving"))
    add_extra_device(lab)
    wait_for_page(lab, ADMIN, "/readyz", 200)
    cases.check("it comes back: /readyz turns true", True)


def agent_dies(cases, lab, agent, connection):
    agent.stop(signal.SIGKILL)
    wait_for_page(lab, ADMIN, "/readyz", 503, "capture_stale: ", STALE_S + 15)
    cases.check("the agent is killed: /readyz says capture_stale", True)
    cases.check("what is known is answered on", len(connection.get().upstream("x-tcp-p0f")) == 1)
    cases.check("and what is new, too", len(Connection(lab).get().upstream("x-tcp-p0f")) == 1)
    cases.check("the heartbeat's age", Metrics(lab, ADMIN).value("synauthz_heartbeat_age_seconds") >= STALE_S)
    agent = start_agent(lab, "--interface", SERVER_DEVICE, "--interface", EXTRA_DEVICE)
    wait_for_page(lab, ADMIN, "/readyz", 200)
    cases.check("another agent: /readyz turns true", True)
    cases.check("and connections of before are known", len(connection.get().upstream("x-tcp-p0f")) == 1)
    return agent


def capture_ends(cases, lab, agent):
    agent.stop()
    done = synauthz(lab, "cleanup")
    cases.equal("cleanup", done.returncode, 0)
    wait_for_page(lab, ADMIN, "/readyz", 503, "capture_absent: ")
    cases.check("capture ends: /readyz says capture_absent", True)
    cases.equal("nothing is made up: a Check is our fault again", Connection(lab).get().status, 503)


def add_extra_device(lab):
    lab.server.ip("link", "add", EXTRA_DEVICE, "type", "veth", "peer", "name", "extra-peer")
    lab.server.ip("link", "set", EXTRA_DEVICE, "up")


def comes_and_goes(cases, lab, policy):
    add_extra_device(lab)
    server = without_agent(cases, lab, policy)
    agent, connection = agent_comes(cases, lab, server)
    device_goes(cases, lab)
    agent = agent_dies(cases, lab, agent, connection)
    capture_ends(cases, lab, agent)
    cases.equal("SIGTERM: status 0", server.stop(), 0)


def required(cases, lab, policy):
    server = pins(lab, policy, "--require-capture")
    cases.equal("--require-capture, no agent: NOT_SERVING", health(lab), (4, "not serving: NOT_SERVING"))
    cases.equal("and /readyz agrees", ask(lab, ADMIN, "/readyz").status, 503)
    agent = start_agent(lab)
    wait_for_page(lab, ADMIN, "/readyz", 200)
    wait_until(lambda: health(lab)[0] == 0, 10, "SERVING")
    cases.equal("--require-capture, with an agent: SERVING", health(lab), (0, "serving"))
    agent.stop()
    synauthz(lab, "cleanup")
    wait_until(lambda: health(lab)[0] == 4, 10, "NOT_SERVING")
    cases.equal("--require-capture, after cleanup: NOT_SERVING", health(lab)[0], 4)
    server.stop()


def on_fault(cases, lab, policy):
    server = pins(lab, policy, "--on-fault", "policy")
    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    reply = connection.get("/", [("x-tcp-p0f", "forged")])
    cases.equal("--on-fault policy: the policy decides", (reply.status, reply.upstream("x-tcp-p0f")), (200, []))
    cases.equal("and a rule that must know denies", connection.get("/strict").status, 403)
    metrics = Metrics(lab, ADMIN)
    cases.check("counted as unavailable", metrics.value("synauthz_lookups_total", state="unavailable") >= 3)
    cases.equal("denied for not knowing", metrics.value("synauthz_checks_total", verdict="deny", reason="unknown"), 1)
    cases.equal("no fault", metrics.value("synauthz_checks_total", verdict="error"), 0)
    server.stop()


def attached(cases, lab, policy):
    server = lab.serve(policy, *ADMIN_OPTION)
    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    Connection(lab).get()
    cases.equal("--attach: /readyz", ask(lab, ADMIN, "/readyz").body, "ok\n")
    metrics = Metrics(lab, ADMIN)
    cases.check("--attach: SYNs are counted", metrics.value("synauthz_syn_seen_total", hook="xdp") >= 2)
    cases.check("--attach: and promoted", metrics.value("synauthz_promotions_total", reason="promoted") >= 2)
    cases.equal("--attach: every map was read", metrics.value("synauthz_map_read_failures_total"), 0)
    server.stop()


def without_root(cases, lab, policy):
    """By whoever may read the pins: here nobody, of the pins' group, with nothing to give up."""
    folder = "/run/synauthz/nobody"
    os.mkdir(folder)
    shutil.chown(folder, NOBODY, NOBODY)
    agent = start_agent(lab)
    server = lab.start(
        "synauthz",
        "setpriv",
        *("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"),
        *(find_synauthz(), "serve", "--policy", policy, "--listen", f"unix:{folder}/s", *ADMIN_OPTION),
    ).wait_for("ready")
    cases.equal("started as nobody: it is ready", ask(lab, ADMIN, "/readyz").body, "ok\n")
    done = synauthz(lab, "healthcheck", f"unix:{folder}/s")
    cases.equal("started as nobody: it serves", done.returncode, 0)
    cases.equal("SIGTERM: status 0", server.stop(), 0)
    agent.stop()
    synauthz(lab, "cleanup")


def main(cases):
    lab = Lab()
    policy = lab.write("policy.yaml", POLICY)
    lab.start_upstream()
    lab.start_envoy()
    comes_and_goes(cases, lab, policy)
    required(cases, lab, policy)
    on_fault(cases, lab, policy)
    attached(cases, lab, policy)
    without_root(cases, lab, policy)


run_cases(main)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What /metrics says: Prometheus reads it without a complaint, and the guides name what there is, no more and no less."""

from _admin import *

SERVE, AGENT = "/run/lab/serve-admin", "/run/lab/agent-admin"
# Buckets of whole microseconds, as the dashboards have them.  promtool wants seconds everywhere.
UNIT_OF_CHOICE = re.compile(r'^synauthz_check_latency_microseconds use base unit "seconds" instead of "microseconds"$')
POLICY = """\
version: 1
rules:
  - {id: no-entry, when: {http.path: /a}, then: deny}
  - {id: shadowed, mode: shadow, when: {http.path: /b}, then: deny}
default: allow
"""
# From shared pages: of another process, or of the other verb, too.
SHARED = re.compile(r"(process_|synauthz_(build|library)_info$|synauthz_ready$|synauthz_config_|synauthz_heartbeat_age)")


def well_formed(cases, where, metrics):
    status, said = promtool("check", "metrics", text=metrics.text)
    complaints = [line for line in said.splitlines() if line and not UNIT_OF_CHOICE.match(line)]
    cases.check(f"{where}: promtool has nothing to say", status in (0, 3) and not complaints, (status, said))
    for name, family in metrics.families.items():
        if family.type == "counter" and not all(sample.name.endswith("_total") for sample in family.samples):
            cases.check(f"{where}: the counter {name} ends in _total", False, family)
    cases.check(f"{where}: no name twice", len(re.findall(r"^# TYPE (\S+)", metrics.text, re.M)) == len(metrics.families))


class Seen:
    """Names and labels of several pages."""

    def __init__(self):
        self.labels = {}

    def add(self, cases, where, metrics):
        well_formed(cases, where, metrics)
        for name, labels in metrics.labels().items():
            self.labels.setdefault(name, set()).update(labels)

    def compare(self, cases, who, wanted):
        cases.equal(f"{who}: what is not in the guide", set(self.labels) - set(wanted), set())
        cases.equal(f"{who}: what is only there", set(wanted) - set(self.labels), set())
        for name in sorted(set(self.labels) & set(wanted)):
            cases.check(f"{who}: {name}: labels as in the guide", self.labels[name] <= wanted[name], self.labels[name])


def of_maps():
    """Those that the agent's guide has under a heading of their own, because servers say them, too."""
    return documented("node.md", "### Of the maps")


def page_of(cases, lab, seen, policy, where, *options, requests=("/", "/a", "/b"), **more):
    server = lab.serve(policy, *options, "--admin", f"unix:{SERVE}", **more)
    for path in requests:
        connection = Connection(lab)
        wait_until(lambda: connection.get(path).status in (200, 403, 503), 10, "an answer")
    metrics = Metrics(lab, SERVE)
    seen.add(cases, where, metrics)
    server.stop()
    return metrics


def pair_of_keys():
    key, certificate = os.path.join(SCRATCH, "tls.key"), os.path.join(SCRATCH, "tls.crt")
    sh(
        *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=lab.test".split(),
        *("-keyout", key, "-out", certificate),
    )
    shutil.chown(key, NOBODY, NOBODY)
    return "--tls-cert", certificate, "--tls-key", key


def servers(cases, lab, policy):
    """With everything that has metrics of its own, from each source."""
    seen = Seen()
    page_of(cases, lab, seen, policy, "serve, no source, a decision log", "--source", "none", "--decision-log", "-")
    tls = pair_of_keys()
    page_of(
        cases, lab, seen, policy, "serve, TLS", "--source", "none", *tls, listen="127.0.0.1:9443,tls", requests=()
    )
    page_of(cases, lab, seen, policy, "serve, attached")
    page_of(cases, lab, seen, policy, "serve, pins without an agent", "--source", "pins")
    agent = lab.start(
        "agent", find_synauthz(), "agent", "--capture", "tcx", "--port", str(PORT), "--interface", SERVER_DEVICE,
        "--admin", f"unix:{AGENT}",
    ).wait_for("ready")  # fmt: skip
    metrics = page_of(cases, lab, seen, policy, "serve, pins", "--source", "pins")
    shadowed = metrics.value("synauthz_checks_total", verdict="allow", mode="shadow")
    cases.check("what a shadow rule would deny is counted", shadowed >= 1, shadowed)
    cases.equal("what a rule denied", metrics.value("synauthz_checks_total", verdict="deny", reason="rule"), 1)
    for name in ("pending", "live", "alias"):
        cases.check(f"of pins: room in `{name}`", metrics.value("synauthz_map_capacity", map=name) > 0)
    seen.compare(cases, "serve", {**documented("serve.md"), **of_maps()})
    of_agent(cases, lab, agent, metrics)


def of_agent(cases, lab, agent, of_server):
    seen, metrics = Seen(), Metrics(lab, AGENT)
    seen.add(cases, "agent", metrics)
    shared = {name: labels for name, labels in documented("serve.md").items() if SHARED.match(name)}
    seen.compare(cases, "agent", {**shared, **documented("node.md")})
    for name in ("synauthz_syn_stored_total", "synauthz_promotions_total", "synauthz_map_capacity"):
        got, wanted = of_server.value(name), metrics.value(name)
        cases.check(f"{name}: a server says what the agent says", 0 < got <= wanted, (got, wanted))
    row = next(line for line in read(os.path.join(DOCS, "node.md")).splitlines() if "`synauthz_syn_skipped_total`" in line)
    reasons = {sample.labels["reason"] for sample in metrics.families["synauthz_syn_skipped_total"].samples}
    cases.equal("each reason to skip a SYN is in the guide", reasons - set(re.findall(r"`(\w+)`", row)), set())
    build = metrics.families["synauthz_build_info"].samples[0].labels
    cases.check("build_info is what `version` says", build["version"] in synauthz(lab, "version").stdout, build)
    info = metrics.families["synauthz_capture_info"].samples[0].labels
    cases.equal("capture_info: mode and state", (info["mode"], info["state"]), ("tcx", "tracked"))
    cases.check("the heartbeat is fresh", 0 <= metrics.value("synauthz_heartbeat_age_seconds") < 5)
    cases.equal("capacity", metrics.value("synauthz_map_capacity", map="live"), 65536)
    cases.equal("nothing failed", metrics.value("synauthz_map_read_failures_total"), 0)
    cases.equal("it is attached", metrics.value("synauthz_attach_state", hook="tcx", device=SERVER_DEVICE), 1)
    status = read(f"/proc/{agent.pid}/status")
    rss = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024
    told = metrics.value("process_resident_memory_bytes")
    cases.check("process_resident_memory_bytes is the kernel's", 0.5 < told / rss < 2, (told, rss))
    cases.check("a process has descriptors", 3 < metrics.value("process_open_fds") < metrics.value("process_max_fds"))
    agent.stop()
    synauthz(lab, "cleanup")


def main(cases):
    lab = Lab()
    policy = lab.write("policy.yaml", POLICY)
    lab.start_upstream()
    lab.start_envoy()
    servers(cases, lab, policy)


run_cases(main)

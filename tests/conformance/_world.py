# SPDX-License-Identifier: Apache-2.0
"""All that runs for one version of Envoy: capture, synauthz, the tap in front of it, the upstream, and Envoy."""

import os
import re
import threading
import time
import traceback

from _envoy import AccessLog, Envoy, cluster, unix_get
from _scenario import SCENARIOS, Trial, describe, release, request_id
from _tap import Tap
from _tls import make_certificates
from _upstream import Upstream
from lab import SERVER_DEVICE, Lab, LabError, find_synauthz

SYNAUTHZ, TAP, UPSTREAM, PINS = "/run/lab/synauthz.sock", "/run/lab/tap.sock", "/run/lab/upstream.sock", "/run/lab/bpf"
NO_PINS = ("--source", "pins", "--pin-dir", "/run/lab/no-pins")  # of a server whose every Check is a fault
FROM_PINS = ("--source", "pins", "--pin-dir", PINS)
ADMIN = "/run/lab/synauthz.admin"


class World:
    """`target`: the unix socket of another server than synauthz, which is then not started."""

    def __init__(self, version, scenarios, target=None, long=False):
        self.version, self.scenarios, self.target, self.long = version, scenarios, target, long
        self.server_path = target or SYNAUTHZ
        self.lab = Lab()
        self.synauthz = None
        make_certificates()
        if not target:
            self._start_capture()
            os.chmod("/run/lab", 0o1777)  # where synauthz, as nobody, makes its sockets
            self.policy = self.lab.write("policy.yaml", policy_of(scenarios))
            self.synauthz = self.serve("synauthz", self.policy, "--admin", f"unix:{ADMIN}")
        self.upstream = Upstream(UPSTREAM)
        self.tap = Tap(TAP, self.server_path)
        self.envoy = self._start_envoy()
        self.log = AccessLog()

    def _start_capture(self):
        self.agent = self.lab.start(
            "agent",
            *(find_synauthz(), "agent", "--interface", SERVER_DEVICE, "--capture", "xdp", "--port", "any"),
            *("--pin-dir", PINS),
        ).wait_for("ready", 60)

    def serve(self, name, policy, *options, source=FROM_PINS, listen=None, program=None):
        """A synauthz on /run/lab/NAME.sock; waits until it is ready.  `program`: another than the one under test."""
        listen = listen or f"unix:/run/lab/{name}.sock"
        return self.lab.start(
            name, program or find_synauthz(), "serve", "--policy", policy, "--listen", listen, *source, *options
        ).wait_for("ready", 60)

    def metric(self, name):
        """A number on synauthz's page of metrics, None if it is not there."""
        for line in unix_get(ADMIN, "/metrics").splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                return float(line.split()[-1])
        return None

    def _start_envoy(self):
        listeners, clusters = [], {
            "upstream": cluster("upstream", UPSTREAM),
            "upstream2": cluster("upstream2", UPSTREAM, http2=True),
            "tap": cluster("tap", TAP, http2=True),
            "direct": cluster("direct", self.server_path, http2=True),
        }
        for scenario in self.scenarios:
            for name, spec in scenario.listen.items():
                if release(self.version) >= release(spec.since + ".0"):
                    full = f"s{scenario.number:02}-{name}"
                    listeners.append(spec.described(full, scenario.port(name)))
            for name, address in scenario.clusters.items():
                made = address(self.server_path) if callable(address) else address
                clusters[name] = made if isinstance(made, dict) else cluster(name, made, http2=True)
        return Envoy(self.lab, self.version, listeners, list(clusters.values()))

    # -------------------------------------------------------------------------------------------------- running

    def run(self):
        """{number: result} of all scenarios."""
        self.results = {}
        threads = [threading.Thread(target=self._try, args=(s,)) for s in self.scenarios if s.background]
        for thread in threads:
            thread.start()
        for scenario in self.scenarios:
            if not scenario.background:
                self._try(scenario)
        for thread in threads:
            thread.join()
        if self.synauthz:
            self.results[0] = {"failures": [*self._answers(), *self._ending()], "checks": 3, "seconds": 0}
        return self.results

    def _try(self, scenario):
        started, trial = time.monotonic(), Trial(scenario, self)
        try:
            scenario.run(trial)
        except Exception as error:
            if not self.target:
                traceback.print_exc()
                trial.failures.append(f"{type(error).__name__}: {error}")
        if not trial.checks and not self.target:
            trial.failures.append("nothing was checked")
        self.results[scenario.number] = {
            "failures": trial.failures,
            "notes": trial.notes,
            "checks": trial.checks,
            "seconds": round(time.monotonic() - started, 1),
            "seen": self._seen(trial) if self.target else [],
        }

    def _seen(self, trial):
        """With another server: what it did."""
        seen = list(trial.said)
        for listener in trial.scenario.listen:
            for call in list(self.tap.calls[trial.name(listener)]):
                if not call.scripted:
                    number = request_id(call)
                    seen.append(describe(call, number and self.log.of(number)))
        return seen

    def _ending(self):
        """Both programs must be alive, and end well: with the sanitizers that also says that nothing leaked."""
        failures = []
        if not self.envoy.program.runs():
            failures.append(f"Envoy ended: {self.envoy.program.output()[-3000:]}")
        for program in (self.synauthz, self.agent):
            try:
                status = program.stop()
            except LabError as error:
                status = str(error)
            if status != 0:
                failures.append(f"{program.name} ended with {status}: {program.output()[-6000:]}")
        return failures

    def _answers(self):
        """What holds for each answer that synauthz gave to any scenario."""
        calls = [call for calls in self.tap.calls.values() for call in calls if call.done and not call.scripted]
        for call in calls:
            for fault in faults_of(call):
                yield f"{call.listener} {call.http.get('path')}: {fault}"


NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")


def faults_of(call):
    """What must never be in an answer, whatever was asked."""
    if call.cancelled:
        return
    if call.status != 0:
        yield f"gRPC status {call.status}: {call.message}"
        return
    if not call.response:
        yield "an empty answer, which allows"
        return
    answer = call.answer  # raises what ends the run: no CheckResponse, or text that is no UTF-8
    if "status" not in answer:
        yield "no status, which allows"
    ok, denied = answer.get("ok_response", {}), answer.get("denied_response", {})
    changed = [option for changes in (ok, denied) for option in changes.get("headers", [])]
    added = ok.get("response_headers_to_add", [])
    for option in changed + added:
        name, value = option["header"].get("key", ""), option["header"].get("value", "")
        if not NAME.fullmatch(name) or not VALUE.fullmatch(value) or "raw_value" in option["header"]:
            yield f"no valid header: {option}"
        if "append" not in option and "append_action" not in option:
            yield f"left to Envoy whether it is appended: {option}"
    both = {option["header"]["key"] for option in ok.get("headers", [])} & set(ok.get("headers_to_remove", []))
    if both:
        yield f"in set and in remove: {both}"


def policy_of(scenarios):
    rules = "".join(scenario.rules.strip("\n") + "\n" for scenario in scenarios if scenario.rules)
    return f"version: 1\nrules:\n{rules}default: allow\non_unknown: skip\n" if rules else EMPTY_POLICY


EMPTY_POLICY = "version: 1\nrules: []\ndefault: allow\n"


def chosen(version, numbers, target):
    """The scenarios to run on this version, and why the others are not: {number: reason}."""
    run, left_out = [], {}
    for scenario in sorted(SCENARIOS, key=lambda scenario: scenario.number):
        if numbers and scenario.number not in numbers:
            continue
        if scenario.needs and release(version) < release(scenario.needs[0] + ".0"):
            left_out[scenario.number] = f"needs Envoy {scenario.needs[0]}: {scenario.needs[1]}"
        elif scenario.versions and release(version) not in {release(v + ".0") for v in scenario.versions}:
            left_out[scenario.number] = "not run"
        elif target and scenario.about != "server":
            left_out[scenario.number] = (
                "about Envoy alone" if scenario.about == "envoy" else "starts and stops a synauthz of its own"
            )
        else:
            run.append(scenario)
    return run, left_out

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent's settings: what is refused and how, what SIGHUP changes while SYNs keep coming, readiness, metrics, docs."""

import json
import stat
import threading

from _admin import *

ADMIN_PORT = 9101
EXTRA_DEVICE = "lab-extra"


def synauthz(*argv, program=None, **options):
    return subprocess.run(
        [program or find_synauthz(), *argv],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        **options,
    )


# ------------------------------------------------------------------------------------------- what is refused


def refusals(cases, lab):
    good = "version: 1\nagent: {port: 8080, capture: tcx, interface: no-such-device}\n"
    table = (
        ([], 2, "capture SYNs to which ports?"),
        (["--interface", SERVER_DEVICE], 2, "capture SYNs to which ports?"),
        (["--port", "70000"], 2, "--port 70000: expected a port from 1 to 65535, or any"),
        (["--port", "80", "--capture", "xdp"], 2, "--capture xdp needs --interface"),
        (["--port", "80", "--capture", "tcx"], 2, "--capture tcx needs --interface"),
        (["--port", "80", "--capture", "cgroup", "--interface", "a"], 2, "--interface does not go with"),
        (["--port", "80", "--capture", "magic"], 2, "expected auto|xdp|xdp-generic|tcx|cgroup"),
        (["--port", "80", "--group", "no-such-group"], 2, "--group no-such-group: there is no such group"),
        (["--port", "80", "--max-live", "1"], 2, "--max-live 1: expected a number from 16"),
        (["--port", "80", "--admin", "everywhere"], 2, "--admin everywhere: "),
        (["--prot", "80"], 2, "did you mean --port"),
        (["--port", "80", "more"], 2, "unexpected argument `more`"),
        (["--config", "/run/lab/none.yaml"], 3, "/run/lab/none.yaml: cannot read the file: No such file"),
        (["--config", lab.write("a.yaml", "agent: {}\n")], 3, 'a.yaml:1:1: a configuration file needs the line "version: 1"'),
        (["--config", lab.write("b.yaml", good + "  prot: 80\n")], 3, "b.yaml:3:"),
        (
            ["--config", lab.write("c.yaml", "version: 1\nagent:\n  port: [80, 0]\n")],
            3,
            "c.yaml:3:14: port 0: expected a port",
        ),
        (
            ["--config", lab.write("d.yaml", good + "serve: {redirect-port: [any]}\n")],
            3,
            "d.yaml:3:25: redirect-port any: expected a port",
        ),
        (
            ["--config", lab.write("e.yaml", "version: 1\nagent: {max_live: 500}\n")],
            3,
            'e.yaml:2:9: unknown key in agent: "max_live"; did you mean "max-live"?',
        ),
        (["--config", lab.write("f.yaml", "version: 1\nagent: {interface: a}\n")], 3, "capture SYNs to which ports?"),
    )
    for argv, status, message in table:
        done = synauthz("agent", *argv)
        name = " ".join(argv).replace("/run/lab/", "") or "(nothing)"
        cases.check(
            f"agent {name}: status {status}, `{message}`",
            done.returncode == status and message in done.stderr and not done.stdout,
            done,
        )
    nobody = {"program": readable_copy(find_synauthz()), "user": NOBODY, "group": NOBODY, "extra_groups": []}
    done = synauthz("agent", "--port", "80", **nobody)
    cases.check("as nobody: status 1, and who it has to be", done.returncode == 1 and "as root" in done.stderr, done)
    done = synauthz("agent", "--port", "many", **nobody)
    cases.check("as nobody: what is wrong with the options comes first", done.returncode == 2, done)
    for kept in ("bpf,+net_admin", "bpf,+perfmon", "net_admin,+perfmon"):
        done = subprocess.run(
            ["setpriv", f"--bounding-set=-all,+{kept}", "--inh-caps=-all", find_synauthz(), "agent", "--port", "80"],
            text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
        )  # fmt: skip
        missing = ({"bpf", "net_admin", "perfmon"} - set(kept.replace("+", "").split(","))).pop()
        cases.check(
            f"with {kept} alone: status 1, and CAP_{missing.upper()} is named",
            done.returncode == 1 and f"missing: CAP_{missing.upper()};" in done.stderr,
            done,
        )


# ------------------------------------------------------------------------------------------- a running agent


class Agent:
    def __init__(self, lab, *options, text=None, ready="ready", **more):
        self.lab = lab
        self.path = lab.write("agent.yaml", text) if text else None
        options = (*options, *(("--config", self.path) if text else ()))
        self.program = lab.start("agent", find_synauthz(), "agent", *options, **more).wait_for(ready)

    def configure(self, text, answer):
        """Writes the file anew and sends SIGHUP; waits for a line that begins with `answer`."""
        seen = self.program.output().count(answer)
        self.lab.write("agent.yaml", text)
        self.program.send(signal.SIGHUP)
        wait_until(lambda: self.program.output().count(answer) > seen, 10, f"`{answer}`:\n{self.program.output()}")

    def get(self, path):
        """(status, body) of an admin page."""
        page = ask(self.lab, ("127.0.0.1", ADMIN_PORT), path)
        return page.status, page.body

    def metrics(self):
        return Metrics(self.lab, ("127.0.0.1", ADMIN_PORT))

    def value(self, name, **labels):
        return self.metrics().value(name, **labels)


def config(ports, *more, interfaces=(SERVER_DEVICE,)):
    return "\n".join(
        (
            "version: 1",
            "agent:",
            "  capture: tcx",
            f"  interface: [{', '.join(interfaces)}]",
            f"  port: {ports}",
            f"  admin: 127.0.0.1:{ADMIN_PORT}",
            *(f"  {line}" for line in more),
            "",
        )
    )


def send_syn(lab, port, address=SERVER_IPV4):
    """One SYN exactly: nobody listens, and the refusal ends the attempt."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.client.entered():
        client = socket.socket(family, socket.SOCK_STREAM)
    with client:
        client.settimeout(10)
        try:
            client.connect((address, port))
        except ConnectionRefusedError:
            return
    raise LabError(f"somebody listens on port {port}")


class Stream:
    """SYNs to one port, one after the other, until it is stopped."""

    def __init__(self, lab, port):
        self.lab, self.port, self.sent, self.failure, self.ends = lab, port, 0, None, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.ends:
                send_syn(self.lab, self.port)
                self.sent += 1
                time.sleep(0.002)
        except Exception as error:
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        if self.failure:
            raise self.failure


def seen(agent, family="ipv4"):
    return agent.value("synauthz_syn_seen_total", hook="tcx", family=family)


def skipped(agent, reason, family="ipv4"):
    return agent.value("synauthz_syn_skipped_total", hook="tcx", family=family, reason=reason)


def captured(lab, agent, port, address=SERVER_IPV4):
    family = "ipv6" if ":" in address else "ipv4"
    before = seen(agent, family)
    send_syn(lab, port, address)
    return seen(agent, family) - before == 1


def pages(cases, agent):
    cases.equal("/livez", agent.get("/livez"), (200, "ok\n"))
    cases.equal("/readyz", agent.get("/readyz"), (200, "ok\n"))
    cases.equal("synauthz_ready", agent.value("synauthz_ready"), 1)
    told = json.loads(agent.get("/config")[1])
    cases.equal("/config: whose it is", (told["program"]["verb"], told["program"]["pid"]), ("agent", agent.program.pid))
    cases.equal("/config: ready", (told["ready"], told["why"]), (True, None))
    capture = {"tracked": True, "why_untracked": None, "set": "v2"}
    hooks = [{"hook": "tcx", "device": SERVER_DEVICE, "attached": True}]
    cases.equal("/config: capture", told["capture"], {**capture, "hooks": hooks})
    cases.equal("/config: its file", (told["config_file"], told["config_reload"]["last"]["error"]), (agent.path, None))


def is_seen(lab, agent, port):
    """Sends a SYN; was it seen, rather than skipped for its port?"""
    before = skipped(agent, "port")
    send_syn(lab, port)
    return skipped(agent, "port") == before


def live_ports(cases, lab, agent):
    """Port 9090 comes and goes, while each SYN to port 8080 is seen."""
    before = seen(agent)
    with Stream(lab, 8080) as stream:
        cases.check("port 8080: a SYN to port 9090 is not seen", not is_seen(lab, agent, 9090))
        others = 0
        for ports, wanted in (("[8080, 9090]", True), ("8080", False), ("any", True), ("[8080]", False)):
            agent.configure(config(ports), "configuration read again")
            others += wanted
            cases.equal(f"port {ports}: is a SYN to port 9090 seen?", is_seen(lab, agent, 9090), wanted)
        agent.configure(config("1-"), "configuration not changed")
        cases.check(
            "a broken file: the message has its place",
            "agent.yaml:5:9: port 1-: expected a port from 1 to 65535, or any" in agent.program.output(),
            agent.program.output()[-500:],
        )
        cases.check("a broken file changes nothing", not is_seen(lab, agent, 9090))
        wait_until(lambda: stream.sent > 100, 30, "SYNs")
    cases.equal("none of them was missed", seen(agent) - before, stream.sent + others)
    cases.equal("config_reloads_total: ok", agent.value("synauthz_config_reloads_total", result="ok"), 4)
    cases.equal("config_reloads_total: failed", agent.value("synauthz_config_reloads_total", result="failed"), 1)


def live_prefixes(cases, lab, agent):
    with Stream(lab, 8080) as stream:
        before, sent = seen(agent), stream.sent
        for line, wanted in ((f"prefix: {SERVER_IPV4}", False), (f'prefix: ["{SERVER_IPV4}/32", "{SERVER_IPV6}"]', True)):
            agent.configure(config(8080, line), "configuration read again")
            cases.equal(f"{line}: is an IPv6 SYN captured?", captured(lab, agent, 8080, SERVER_IPV6), wanted)
        agent.configure(config(8080), "configuration read again")
        cases.check("no prefix: it is", captured(lab, agent, 8080, SERVER_IPV6))
        wait_until(lambda: stream.sent > sent + 20, 10, "SYNs")
    cases.check("IPv4 SYNs were seen all the time", seen(agent) - before >= stream.sent - sent, seen(agent) - before)
    cases.equal("the IPv6 SYN was skipped for its prefix", skipped(agent, "prefix", "ipv6"), 1)
    cases.equal("and no IPv4 SYN", skipped(agent, "prefix"), 0)


def devices_of(agent):
    """{device: attached?}"""
    samples = agent.metrics().families["synauthz_attach_state"].samples
    return {sample.labels["device"]: sample.value for sample in samples}


def add_extra_device(lab):
    lab.server.ip("link", "add", EXTRA_DEVICE, "type", "veth", "peer", "name", "extra-peer")
    lab.server.ip("link", "set", EXTRA_DEVICE, "up")


def live_devices(cases, lab, agent):
    add_extra_device(lab)
    with Stream(lab, 8080) as stream:
        before, sent = seen(agent), stream.sent
        agent.configure(config(8080, interfaces=(SERVER_DEVICE, EXTRA_DEVICE)), "configuration read again")
        cases.equal("a second device", devices_of(agent), {SERVER_DEVICE: 1, EXTRA_DEVICE: 1})
        agent.configure(config(8080, interfaces=('"lab-s*"',)), "configuration read again")
        cases.equal("a pattern that only the first one matches", devices_of(agent), {SERVER_DEVICE: 1})
        agent.configure(config(8080, interfaces=('"lab-*"',)), "configuration read again")
        cases.equal("a pattern for both", devices_of(agent), {SERVER_DEVICE: 1, EXTRA_DEVICE: 1})
        lab.server.ip("link", "del", EXTRA_DEVICE)
        wait_until(lambda: devices_of(agent) == {SERVER_DEVICE: 1}, 10, "the agent to forget the device")
        cases.equal("a device of a pattern that goes is not missed", agent.get("/readyz")[0], 200)
        agent.configure(config(8080), "configuration read again")
        wait_until(lambda: stream.sent > sent + 20, 10, "SYNs")
    cases.check("SYNs on the first device were seen all the time", seen(agent) - before >= stream.sent - sent)


def frozen(cases, lab, agent):
    agent.configure(config("[8080, 7070]", "max-live: 4096", "group: 0"), "configuration read again")
    cases.check(
        "what takes a restart is named",
        "restart the agent to change --max-live, --group: until then the old value holds" in agent.program.output(),
        agent.program.output()[-500:],
    )
    cases.equal("and keeps its value", agent.value("synauthz_map_capacity", map="live"), 65536)
    cases.check("what does not is changed all the same", captured(lab, agent, 7070))
    settings = json.loads(agent.get("/config")[1])["settings"]
    waiting_for_it = {"value": 65536, "from": "default", "after_restart": 4096}
    cases.equal("/config: what takes a restart", settings["max-live"], waiting_for_it)
    ports = {"value": ["8080", "7070"], "from": f"{agent.path}:5"}
    cases.equal("/config: what does not", settings["port"], ports)


def readiness(cases, lab, agent):
    def move_device(there):
        if there:
            sh(
                *("ip", "link", "add", SERVER_DEVICE, "netns", "server", "type", "veth"),
                *("peer", "name", CLIENT_DEVICE, "netns", "client"),
            )
            for namespace, device, ipv4 in (
                (lab.server, SERVER_DEVICE, SERVER_IPV4),
                (lab.client, CLIENT_DEVICE, CLIENT_IPV4),
            ):
                namespace.ip("addr", "add", f"{ipv4}/24", "dev", device)
                namespace.ip("link", "set", device, "up")
        else:
            lab.server.ip("link", "del", SERVER_DEVICE)

    move_device(False)
    wait_until(lambda: agent.get("/readyz")[0] == 503, 10, "/readyz to turn false")
    cases.check("the device goes: /readyz says which", SERVER_DEVICE in agent.get("/readyz")[1], agent.get("/readyz"))
    cases.equal("synauthz_ready", agent.value("synauthz_ready"), 0)
    cases.equal("/livez does not care", agent.get("/livez")[0], 200)
    cases.check("it is logged", "capture is not complete" in agent.program.output())
    cases.equal("device_losses_total", agent.value("synauthz_device_losses_total"), 2)
    move_device(True)
    agent.program.wait_for("ready again", 10)
    cases.equal("the device comes back: /readyz", agent.get("/readyz"), (200, "ok\n"))
    cases.check("and its SYNs are seen", captured(lab, agent, 8080))


def ending(cases, lab, agent):
    done = synauthz("cleanup")
    cases.check(
        "cleanup while it runs: refused with status 1", done.returncode == 1 and "agent" in done.stderr, done
    )
    cases.check("and nothing is lost", captured(lab, agent, 8080))
    total = seen(agent)
    cases.equal("SIGTERM: status 0", agent.program.stop(), 0)
    cases.check(
        "it says how to end capture", "synauthz cleanup --pin-dir /run/synauthz/bpf" in agent.program.output()
    )
    for _ in range(3):
        send_syn(lab, 8080)
    agent = Agent(lab, text=config(8080))
    cases.equal("without an agent SYNs are captured as before", seen(agent) - total, 3)
    cases.check("the next agent takes over", "taken over" in agent.program.output(), agent.program.output())
    agent.program.stop()
    for what in ("removed", "nothing there"):
        done = synauthz("cleanup")
        cases.check(f"cleanup: status 0, `{what}`", done.returncode == 0 and what in done.stdout, done)
    cases.check("nothing stays mounted", "/run/synauthz/bpf" not in open("/proc/self/mounts").read())
    bad = synauthz("cleanup", "--pin-dir", "relative")
    cases.check("cleanup of a relative path: status 2", bad.returncode == 2 and "absolute path" in bad.stderr, bad)


def capabilities(pid):
    """Each of the five sets, of all threads."""
    sets = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            sets |= set(re.findall(r"^Cap(Prm|Eff|Inh|Bnd|Amb):\t(\w+)", file.read(), re.M))
    return {(name, int(value, 16)) for name, value in sets}


def without_a_file(cases, lab):
    folder = os.path.join(SCRATCH, "socket")
    options = ("--interface", SERVER_DEVICE, "--capture", "tcx", "--port", "8080", "--socket-dir", folder)
    for group, more in ((NOBODY, 1 << 0), (0, 0)):  # CAP_CHOWN
        agent = Agent(lab, *options, "--group", str(group), "--admin", f"127.0.0.1:{ADMIN_PORT}")
        kept = 1 << 39 | 1 << 38 | 1 << 12 | more  # CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN
        wanted = {("Prm", kept), ("Eff", kept), ("Inh", 0), ("Bnd", 0), ("Amb", 0)}
        cases.equal(f"--group {group}: capabilities of all threads", capabilities(agent.program.pid), wanted)
        made = os.stat(folder)
        cases.equal("--socket-dir: mode and group", (stat.S_IMODE(made.st_mode), made.st_gid), (0o1775, group))
        agent.program.send(signal.SIGHUP)
        agent.program.wait_for("SIGHUP without --config: there is nothing to read again", 5)
        cases.equal("SIGHUP changes nothing", agent.get("/readyz"), (200, "ok\n"))
        agent.program.stop()
    synauthz("cleanup")


# ------------------------------------------------------------------------------------------- waiting, and who waits


def waiting(cases, lab):
    manager = Manager()
    environment = {**os.environ, "NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"}
    text = config(8080, interfaces=(EXTRA_DEVICE,))
    agent = Agent(lab, text=text, ready="waiting: ", env=environment)
    cases.check("an interface that is not there yet is waited for, by name", EXTRA_DEVICE in agent.program.output())
    wait_until(lambda: manager.listen().count("WATCHDOG=1") >= 5, 10, "WATCHDOG=1")
    cases.check("the watchdog hears of it meanwhile", "READY=1" not in manager.listen(), manager.told)
    cases.check("it is not ready", "ready" not in agent.program.output(), agent.program.output())
    cases.equal("/readyz", agent.get("/readyz")[0], 503)
    add_extra_device(lab)
    agent.program.wait_for("ready", 10)
    wait_until(lambda: "READY=1" in manager.listen(), 5, "READY=1")
    cases.equal("once it is there: /readyz", agent.get("/readyz")[0], 200)
    agent.program.stop(signal.SIGINT)
    cases.equal("READY=1 once, STOPPING=1 last", (manager.listen().count("READY=1"), manager.told[-1]), (1, "STOPPING=1"))
    synauthz("cleanup")


def main(cases):
    lab = Lab()
    refusals(cases, lab)
    agent = Agent(lab, text=config("[8080]"))
    pages(cases, agent)
    cases.check("a SYN to its port is captured", captured(lab, agent, 8080))
    live_ports(cases, lab, agent)
    live_prefixes(cases, lab, agent)
    live_devices(cases, lab, agent)
    frozen(cases, lab, agent)
    readiness(cases, lab, agent)
    ending(cases, lab, agent)
    without_a_file(cases, lab)
    waiting(cases, lab)


run_cases(main)

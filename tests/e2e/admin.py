#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server's admin pages, and what they say while capture comes, goes stale, degrades and ends."""

import ctypes
import shutil
import stat

from _cases import *

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's packages, also for a python3 that is not Debian's
from prometheus_client.parser import text_string_to_metric_families

GUIDE = os.path.join(ROOT, "docs/serve.md")
ADMIN, ADMIN_SOCKET = ("127.0.0.1", 9102), "/run/synauthz/admin.sock"
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


def synauthz(lab, *argv):
    return subprocess.run(
        lab.server.inside(find_synauthz(), *argv),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )


class Page:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), response.read().decode()

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


def ask(lab, path, method="GET", address=ADMIN, headers={}):
    with lab.server.entered():
        client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    with client:
        client.settimeout(10)
        client.connect(address)
        connection = http.client.HTTPConnection("admin")
        connection.sock = client
        connection.request(method, path, headers=headers)
        return Page(connection.getresponse())


class Metrics:
    """One scrape, as Prometheus reads it."""

    def __init__(self, lab, address=ADMIN):
        self.page = ask(lab, "/metrics", address=address)
        self.families = {family.name: family for family in text_string_to_metric_families(self.page.body)}

    def value(self, name, **labels):
        """Sum of the samples that have these labels."""
        found = [
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        if not found:
            raise LabError(f"no sample {name} {labels}")
        return sum(found)


def value(lab, name, **labels):
    return Metrics(lab).value(name, **labels)


def wait_for_page(lab, path, status, word="", seconds=15):
    def there():
        page = ask(lab, path)
        return page.status == status and word in page.body

    wait_until(there, seconds, f"{path} to answer {status} {word}, not {ask(lab, path)}")


def start_agent(lab, *options):
    options = options or ("--interface", SERVER_DEVICE)
    return lab.start(
        "agent", find_synauthz(), "agent", "--capture", "tcx", "--port", str(PORT), *options
    ).wait_for("ready")


def pins(lab, policy, *options, **more):
    return lab.serve(policy, "--source", "pins", *ADMIN_OPTION, *options, **more)


# ------------------------------------------------------------------------------------------- the pages


def requests(cases, lab, address, where):
    for path in ("/livez", "/metrics"):
        page = ask(lab, path, address=address)
        cases.equal(f"{where}: GET {path}", page.status, 200)
        head = ask(lab, path, "HEAD", address=address)
        cases.check(f"{where}: HEAD {path}: no body", head.status == 200 and head.body == "", head)
    page = ask(lab, "/metrics", address=address)
    cases.equal(
        f"{where}: Prometheus text", page.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8"
    )
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        page = ask(lab, "/metrics", method, address=address)
        cases.check(f"{where}: {method}: 405, Allow", page.status == 405 and page.headers["Allow"] == "GET, HEAD", page)
    page = ask(lab, "/livez", address=address, headers={"Content-Length": "1000000000"})
    cases.equal(f"{where}: GET with a body that is to come: 413", page.status, 413)
    for path in ("/", "/healthz", "/metrics/", "//livez"):
        page = ask(lab, path, address=address)
        cases.check(
            f"{where}: {path}: 404, and which pages there are",
            page.status == 404 and all(name in page.body for name in ("/metrics", "/livez", "/readyz")),
            page,
        )


def documented():
    """{metric: (labels)} of the guide's table; those of pins and of --attach have a mark in its last cell."""
    with open(GUIDE) as file:
        section = file.read().split("\n## Metrics\n", 1)[1].split("\n## ", 1)[0]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| `syn")
    ]
    return {name.strip("`"): ({label for label in labels.split(", ") if label}, text) for name, labels, text in rows}


def names(cases, metrics, where, wanted):
    found = {}
    for family in metrics.families.values():
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = {label for sample in family.samples for label in sample.labels if sample.labels[label] != ""}
        cases.check(
            f"{where}: {name} is a counter if and only if it ends in one _total",
            family.name.startswith("synauthz_")
            and "_total" not in family.name
            and all(sample.name.endswith("_total") == (family.type == "counter") for sample in family.samples),
            family,
        )
    cases.equal(f"{where}: the guide has the metrics that there are", set(wanted) - set(found), set())
    cases.equal(f"{where}: and there are no others", set(found) - set(wanted), set())
    for name in set(found) & set(wanted):
        cases.check(f"{where}: {name}: labels as in the guide", found[name] <= wanted[name][0], found[name])


def unix_socket(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", "--admin", f"unix:{ADMIN_SOCKET},mode=0660,group=nogroup")
    found = os.lstat(ADMIN_SOCKET)
    cases.check(
        "unix: the socket has the mode and group that --admin names",
        stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o660 and found.st_gid == NOBODY,
        (oct(found.st_mode), found.st_gid),
    )
    requests(cases, lab, ADMIN_SOCKET, "unix")
    cases.equal("unix: without capture to wait for it is ready", ask(lab, "/readyz", address=ADMIN_SOCKET).status, 200)
    rows = {name: row for name, row in documented().items() if "pins" not in row[1] and "--attach" not in row[1]}
    names(cases, Metrics(lab, ADMIN_SOCKET), "none", rows)
    server.stop()


class Held:
    """A thread of a program that stands still, as one does that hangs; the others run on."""

    SEIZE, INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000

    def __init__(self, pid, name):
        tasks = f"/proc/{pid}/task"
        threads = {read(f"{tasks}/{thread}/comm").strip(): int(thread) for thread in os.listdir(tasks)}
        self.thread = threads[name]

    def __enter__(self):
        for request in (self.SEIZE, self.INTERRUPT):
            if libc.ptrace(request, self.thread, None, None) != 0:
                raise LabError(f"ptrace: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self.thread, self.WALL)

    def __exit__(self, *_):
        libc.ptrace(17, self.thread, None, None)  # detach


def liveness(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION)
    for name in ("accept", "answer"):
        with Held(server.pid, name):
            wait_for_page(lab, "/livez", 503, "has not come round", 20)
            cases.check(f"the thread `{name}` hangs: /livez says so", True)
            cases.equal(f"the thread `{name}` hangs: and so does /readyz", ask(lab, "/readyz").status, 503)
            silence = value(lab, "synauthz_thread_silence_seconds")
            cases.check(f"the thread `{name}` hangs: for how long", silence >= 10, silence)
        wait_for_page(lab, "/livez", 200)
        cases.check(f"the thread `{name}` goes on: /livez turns true", True)
    server.stop()


def refused_starts(cases, lab, policy):
    server = lab.serve(policy, "--source", "none", *ADMIN_OPTION)
    for address, why in (
        (ADMIN_OPTION[1], "Address already in use"),
        ("192.0.2.1:9102", "Cannot assign requested address"),
        ("unix:/no/such/folder/admin", "No such file or directory"),
        (f"unix:{policy}", "the path exists and is not a socket"),
    ):
        done = synauthz(
            lab, "serve", "--policy", policy, "--source", "none", "--listen", "unix:@another", "--admin", address
        )
        cases.check(
            f"--admin {address} cannot be: status 1, and a line says why",
            done.returncode == 1 and f"--admin {address}: " in done.stderr and why in done.stderr,
            done,
        )
    cases.equal("the running server is not harmed", ask(lab, "/livez").status, 200)
    server.stop()


# ------------------------------------------------------------------------------------------- capture comes and goes


def health(lab):
    done = synauthz(lab, "healthcheck", f"unix:{SOCKET}")
    return done.returncode, done.stdout.strip()


def without_agent(cases, lab, policy):
    begun = time.monotonic()
    server = pins(lab, policy)
    cases.check("no agent: the server is up at once", time.monotonic() - begun < 5, time.monotonic() - begun)
    page = ask(lab, "/readyz")
    cases.check("no agent: /readyz says capture_absent", page.status == 503 and "capture_absent: " in page.body, page)
    cases.equal("no agent: /livez", ask(lab, "/livez").status, 200)
    cases.equal("no agent: gRPC health is SERVING", health(lab), (0, "serving"))
    cases.equal("no agent: synauthz_ready", value(lab, "synauthz_ready"), 0)
    cases.equal("no agent: the pins' state", value(lab, "synauthz_pins_state", state="absent"), 1)
    connection = Connection(lab)
    cases.equal("no agent: a Check is our fault, Envoy's failure mode decides", connection.get().status, 503)
    metrics = Metrics(lab)
    faults = metrics.value("synauthz_checks_total", verdict="error", reason="fault")
    cases.check("each of Envoy's tries is counted", 1 <= faults <= 4, faults)
    cases.equal("and so is the look-up", metrics.value("synauthz_lookups_total", state="unavailable"), faults)
    return server


def agent_comes(cases, lab, server):
    agent = start_agent(lab, "--interface", SERVER_DEVICE, "--interface", EXTRA_DEVICE)
    wait_for_page(lab, "/readyz", 200)
    cases.check("the agent comes: /readyz turns true", True)
    metrics = Metrics(lab)
    cases.equal("synauthz_ready", metrics.value("synauthz_ready"), 1)
    cases.equal("the pins' state", metrics.value("synauthz_pins_state", state="fresh"), 1)
    cases.equal("a set was taken into use", metrics.value("synauthz_pins_swaps_total"), 1)
    cases.equal("SYNs are verified", metrics.value("synauthz_pins_tracked"), 1)
    cases.check("the heartbeat is fresh", metrics.value("synauthz_heartbeat_age_seconds") < 3)
    rows = {name: row for name, row in documented().items() if "--attach" not in row[1]}
    names(cases, metrics, "pins", rows)

    connection = Connection(lab)
    for path, status in (("/", 200), ("/deny", 403), ("/strict", 200)):
        cases.equal(f"GET {path}", connection.get(path).status, status)
    cases.equal("and the signature is there", len(connection.get().upstream("x-tcp-p0f")), 1)
    metrics = Metrics(lab)
    cases.equal("allowed by default: 3", metrics.value("synauthz_checks_total", verdict="allow", reason="default"), 3)
    cases.equal("denied by a rule: 1", metrics.value("synauthz_checks_total", verdict="deny", reason="rule"), 1)
    cases.equal("verified: 4", metrics.value("synauthz_lookups_total", state="verified"), 4)
    cases.equal("in flight: none", metrics.value("synauthz_calls_in_flight"), 0)
    return agent, connection


def device_goes(cases, lab):
    lab.server.ip("link", "del", EXTRA_DEVICE)
    wait_for_page(lab, "/readyz", 503, "capture_degraded: ")
    cases.check("a device goes: /readyz says capture_degraded", True)
    cases.equal("a device goes: gRPC health is SERVING", health(lab), (0, "serving"))
    add_extra_device(lab)
    wait_for_page(lab, "/readyz", 200)
    cases.check("it comes back: /readyz turns true", True)


def agent_dies(cases, lab, agent, connection):
    agent.stop(signal.SIGKILL)
    wait_for_page(lab, "/readyz", 503, "capture_stale: ", STALE_S + 15)
    cases.check("the agent is killed: /readyz says capture_stale", True)
    cases.check("what is known is answered on", len(connection.get().upstream("x-tcp-p0f")) == 1)
    cases.check("and what is new, too", len(Connection(lab).get().upstream("x-tcp-p0f")) == 1)
    cases.check("the heartbeat's age", value(lab, "synauthz_heartbeat_age_seconds") >= STALE_S)
    agent = start_agent(lab, "--interface", SERVER_DEVICE, "--interface", EXTRA_DEVICE)
    wait_for_page(lab, "/readyz", 200)
    cases.check("another agent: /readyz turns true", True)
    cases.check("and connections of before are known", len(connection.get().upstream("x-tcp-p0f")) == 1)
    return agent


def capture_ends(cases, lab, agent):
    agent.stop()
    done = synauthz(lab, "cleanup")
    cases.equal("cleanup", done.returncode, 0)
    wait_for_page(lab, "/readyz", 503, "capture_absent: ")
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
    cases.equal("and /readyz agrees", ask(lab, "/readyz").status, 503)
    agent = start_agent(lab)
    wait_for_page(lab, "/readyz", 200)
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
    metrics = Metrics(lab)
    cases.check("counted as unavailable", metrics.value("synauthz_lookups_total", state="unavailable") >= 3)
    cases.equal("denied for not knowing", metrics.value("synauthz_checks_total", verdict="deny", reason="unknown"), 1)
    cases.equal("no fault", metrics.value("synauthz_checks_total", verdict="error"), 0)
    server.stop()


def attached(cases, lab, policy):
    server = lab.serve(policy, *ADMIN_OPTION)
    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    Connection(lab).get()
    cases.equal("--attach: /readyz", ask(lab, "/readyz").body, "ok\n")
    metrics = Metrics(lab)
    cases.check("--attach: SYNs are counted", metrics.value("synauthz_syn_seen_total", hook="xdp") >= 2)
    cases.check("--attach: and promoted", metrics.value("synauthz_promotions_total", reason="promoted") >= 2)
    cases.equal("--attach: every map was read", metrics.value("synauthz_map_read_failures_total"), 0)
    wanted = {name for name, row in documented().items() if "pins" not in row[1]}
    found = {f.name + ("_total" if f.type == "counter" else "") for f in metrics.families.values()}
    cases.equal("--attach: what the guide has is there", wanted - found, set())
    server.stop()


# ------------------------------------------------------------------------------------------- a configuration file


CONFIG = """\
version: 1
pin-dir: /run/synauthz/bpf
serve:
  policy: {policy}
  listen: ["unix:{socket},mode=0666"]
  source: none
  admin: {admin}
  log: "{log}"
{more}"""


def write_config(lab, policy, log, more=""):
    return lab.write(
        "serve.yaml", CONFIG.format(policy=policy, socket=SOCKET, admin=ADMIN_OPTION[1], log=log, more=more)
    )


def read(path):
    """The text of a log; "" while there is none."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def configured(cases, lab, policy):
    folder = os.path.join(SCRATCH, "log")
    os.mkdir(folder)
    shutil.chown(folder, NOBODY, NOBODY)
    log = os.path.join(folder, "serve.log")
    strict = lab.write("strict.yaml", "version: 1\nrules: []\ndefault: deny\n")
    config = write_config(lab, policy, log)
    server = lab.start("synauthz", find_synauthz(), "serve", "--config", config).wait_for("ready")

    def hup(answer, count=1):
        server.send(signal.SIGHUP)
        wait_until(lambda: read(log).count(answer) >= count, 10, f"`{answer}` in {read(log)}")

    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 10, "Envoy to find the server")
    cases.check("--config: it serves by the file", connection.get().status == 200)
    cases.equal("the log is its user's, and not everybody's", stat.S_IMODE(os.stat(log).st_mode) & ~0o640, 0)
    cases.check("the log has lines with times", re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z synauthz: ", read(log)), read(log))
    cases.check("ready is said there, too", "Z synauthz: ready, policy revision" in read(log), read(log))

    os.rename(log, log + ".1")
    hup("policy reloaded")
    cases.check("SIGHUP: a rotated log is opened again", os.path.exists(log) and "reloaded" in read(log))
    write_config(lab, strict, log)
    hup("policy reloaded", 2)
    cases.equal("SIGHUP: the file names another policy", connection.get().status, 403)
    write_config(lab, policy, log, more="  threads: 2\n  user: daemon\n")
    hup("policy reloaded", 3)
    cases.check(
        "SIGHUP: what takes a restart is named",
        "restart the server to change --user, --threads: until then the old value holds" in read(log),
        read(log),
    )
    cases.equal("and the rest holds", connection.get().status, 200)
    write_config(lab, strict, log, more="  polcy: x\n")
    hup("configuration not changed, the last good one stays")
    place = re.search(r"serve\.yaml:\d+:3: .*policy", read(log))
    cases.check("a broken file: the message has its place", place, read(log))
    cases.equal("and nothing has changed", connection.get().status, 200)
    write_config(lab, "/nowhere.yaml", log)
    hup("policy not reloaded, the last good one stays")
    cases.equal("a policy that is not there changes nothing", connection.get().status, 200)
    metrics = Metrics(lab)
    counts = (("config", "ok", 4), ("config", "failed", 1), ("policy", "ok", 3), ("policy", "failed", 1))
    for name, result, count in counts:
        cases.equal(f"{name} reloads, {result}", metrics.value(f"synauthz_{name}_reloads_total", result=result), count)
    cases.equal("SIGTERM: status 0", server.stop(), 0)
    cases.check("and the log says so", "ending on signal 15" in read(log))


def refused_configurations(cases, lab, policy):
    table = (
        ("a file that the server could not read again", policy, "-", 3, f"user {NOBODY}, as whom it serves"),
        ("a policy that the server may not read", lab.write("secret.yaml", POLICY), "-", 3, f"user {NOBODY}, as whom"),
        ("a policy that is not there", "/nowhere.yaml", "-", 3, "/nowhere.yaml: cannot read the file: No such file"),
        ("a log in a folder that is root's", policy, "/run/lab.log", 1, "--log /run/lab.log: cannot open it to write"),
        ("a log that is a FIFO", policy, fifo(), 1, "/fifo: "),
    )
    os.chmod(os.path.join(SCRATCH, "secret.yaml"), 0o600)
    for number, (name, file, log, status, message) in enumerate(table):
        config = write_config(lab, file, log)
        if number == 0:
            os.chmod(config, 0o600)
        done = synauthz(lab, "serve", "--config", config)
        cases.check(
            f"{name}: status {status}, `{message}`",
            done.returncode == status and message in done.stderr and done.stderr.count("\n") == 1,
            done,
        )


def fifo():
    path = os.path.join(SCRATCH, "fifo")
    os.mkfifo(path)
    os.chmod(path, 0o666)
    return path


# ------------------------------------------------------------------------------------------- without root


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
    cases.equal("started as nobody: it is ready", ask(lab, "/readyz").body, "ok\n")
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
    unix_socket(cases, lab, policy)
    refused_starts(cases, lab, policy)
    liveness(cases, lab, policy)
    comes_and_goes(cases, lab, policy)
    required(cases, lab, policy)
    on_fault(cases, lab, policy)
    attached(cases, lab, policy)
    configured(cases, lab, policy)
    refused_configurations(cases, lab, policy)
    without_root(cases, lab, policy)


run_cases(main)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The decision log behind a real Envoy: what a line says, where lines go, and that nothing stops a Check or is lost."""

import json
import threading

from _cases import *

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's packages, also for a python3 that is not Debian's
from prometheus_client.parser import text_string_to_metric_families

GUIDE = os.path.join(ROOT, "docs/decision-log.md")
FOLDER = os.path.join(SCRATCH, "log")
LOG = os.path.join(FOLDER, "decisions.log")
ADMIN = "/run/synauthz/admin.sock"
TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
POLICY = """\
version: 1
rules:
  - id: no-entry
    when: {http.path: {prefix: /deny}}
    then: deny
  - id: soon
    mode: shadow
    when: {http.path: {prefix: /soon}}
    then: deny
  - id: enrich
    when: {fingerprint.state: verified}
    then: continue
    request_headers: {set: {x-tcp-p0f: "%{p0f}"}}
default: allow
on_unknown: skip
"""


def once_each(pairs):
    """An object whose keys are all different: who repeats one says different things to different readers."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"repeated keys in {names}")
    return dict(pairs)


def parse(text):
    """The lines, each a JSON object."""
    if text and not text.endswith("\n"):
        raise ValueError(f"a line is torn: {text[-200:]!r}")
    return [json.loads(line, object_pairs_hook=once_each) for line in text.split("\n")[:-1]]


def lines_of(path):
    with open(path, "rb") as file:
        return parse(file.read().decode())  # strictly UTF-8


def wait_for_lines(path, count):
    wait_until(lambda: os.path.exists(path) and len(lines_of(path)) >= count, 20, f"{count} lines in {path}")
    return lines_of(path)


def new_log():
    for name in os.listdir(FOLDER):
        os.unlink(os.path.join(FOLDER, name))


def serve(lab, *options, log=LOG, **more):
    new_log()
    return lab.serve(lab.write("policy.yaml", POLICY), "--decision-log", log, *options, **more)


def without_capture(lab, *options, **more):
    return serve(lab, "--source", "none", *options, **more)


def metric(lab, name, **labels):
    """Sum of the samples that have these labels."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(ADMIN)
    connection = http.client.HTTPConnection("admin")
    connection.sock = client
    connection.request("GET", "/metrics")
    families = text_string_to_metric_families(connection.getresponse().read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


# ----------------------------------------------------------------------------------------------- what a line says


def documented():
    """The keys of the guide's table, and its example."""
    with open(GUIDE) as file:
        guide = file.read()
    rows = re.findall(r"^\| `([^`]+)` \| (text|number|boolean|list)", guide, re.M)
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.S)
    return dict(rows), json.loads(example.replace("\n", ""), object_pairs_hook=once_each)


def is_of_type(value, kind):
    kinds = {"text": str, "number": (int, float), "boolean": bool, "list": list}
    return value is None or (isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool)))


def as_documented(cases, line):
    types, example = documented()
    fixed = [key for key in types if not key.startswith("http.request.header.")]
    shown = [key for key in line if not key.startswith("http.request.header.")]
    cases.equal("the guide names each key, in the order of a line", fixed, shown)
    cases.equal("and its example has the keys of a line", list(example), list(line))
    wrong = {key: line[key] for key in fixed if not is_of_type(line[key], types[key])}
    cases.equal("each value is what the guide says", wrong, {})
    wrong = {key: example[key] for key in fixed if not is_of_type(example[key], types[key])}
    cases.equal("in the example, too", wrong, {})


def content(cases, lab):
    server = serve(
        lab, "--decision-log-header", "User-Agent", "--decision-log-header", "authorization", "--admin", f"unix:{ADMIN}"
    )
    recording = lab.record_syns()
    connection = Connection(lab)
    headers = [
        ("user-agent", "test/1.0"),
        ("authorization", "Bearer secret-of-a-header"),
        ("x-request-id", "3b7dc0de-0000-4000-8000-000000000001"),
        ("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01"),
    ]
    wait_until(lambda: connection.get("/first").status == 200, 10, "Envoy to find the server")
    reply = connection.get("/allowed?token=secret-of-a-query", headers)
    denied = connection.get("/deny/here")
    shadowed = connection.get("/soon")
    truth = recording.signatures()[connection.local]
    wait_for_lines(LOG, 4)
    lines = {line["url.path"]: line for line in lines_of(LOG)}
    allowed = lines["/allowed"]
    as_documented(cases, allowed)

    cases.equal("allowed", (reply.status, allowed["synauthz.verdict"], allowed["synauthz.reason"]), (200, "allow", "default"))
    cases.equal("by no rule", (allowed["synauthz.rule"], allowed["synauthz.would_be.verdict"]), (None, "allow"))
    cases.equal("denied", (denied.status, lines["/deny/here"]["synauthz.verdict"]), (403, "deny"))
    cases.equal("by this rule", (lines["/deny/here"]["synauthz.reason"], lines["/deny/here"]["synauthz.rule"]), ("rule", "no-entry"))
    cases.equal("a shadow rule denies nobody", shadowed.status, 200)
    cases.equal(
        "but it is said what it would do",
        [lines["/soon"][f"synauthz.{key}"] for key in ("verdict", "would_be.verdict", "would_be.rule")],
        ["allow", "deny", "soon"],
    )
    cases.equal("the signature is p0f's", allowed["synauthz.p0f"], truth)
    cases.equal("the state of its fingerprint", allowed["synauthz.fingerprint.state"], "verified")
    cases.equal("the peer", (allowed["client.address"], allowed["client.port"]), connection.local)
    cases.equal(
        "its other end", (allowed["network.local.address"], allowed["network.local.port"]), (SERVER_IPV4, PORT)
    )
    cases.equal(
        "the request",
        [allowed[key] for key in ("http.request.method", "server.address", "server.port", "network.protocol.version")],
        ["GET", "lab.test", None, "1.1"],
    )
    cases.equal("the trace is the client's", (allowed["trace_id"], allowed["span_id"]), (TRACE_ID, SPAN_ID))
    cases.equal("a request without a trace has none", lines["/soon"]["trace_id"], None)
    cases.check("the request's id is there", lines["/soon"]["synauthz.request_id"], lines["/soon"])
    cases.equal("a query is hidden", allowed["url.query"], "REDACTED")
    cases.equal("a header that was asked for", allowed["http.request.header.user-agent"], ["test/1.0"])
    cases.equal("credentials never", allowed["http.request.header.authorization"], ["REDACTED"])
    with open(LOG) as file:
        cases.check("and nowhere else in the log", "secret-of" not in file.read())
    cases.check("a latency", 0 < allowed["synauthz.latency_us"] < 1e7, allowed["synauthz.latency_us"])
    ids = [line["synauthz.decision_id"] for line in lines_of(LOG)]
    cases.equal("each decision has an id of its own", len(set(ids)), len(ids))
    age = time.time() - time.mktime(time.strptime(allowed["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone
    cases.check("a time in UTC", -2 < age < 120 and allowed["time"].endswith("Z"), allowed["time"])

    cases.equal("metrics: lines", metric(lab, "synauthz_decision_log_lines_total", result="queued"), len(ids))
    cases.equal("metrics: a rule that fired", metric(lab, "synauthz_rules_fired_total", rule="no-entry"), 1)
    cases.equal("metrics: a difference", metric(lab, "synauthz_shadow_differences_total", rule="soon"), 1)
    cases.equal("metrics: in shadow mode", metric(lab, "synauthz_checks_total", mode="shadow"), 1)
    cases.equal("metrics: all", metric(lab, "synauthz_checks_total"), len(ids))
    cases.equal("metrics: latencies", metric(lab, "synauthz_check_latency_microseconds_count"), len(ids))
    server.send(signal.SIGHUP)
    server.wait_for("policy reloaded")
    connection.get("/deny")
    cases.equal("metrics: a reload counts on", metric(lab, "synauthz_rules_fired_total", rule="no-entry"), 2)
    server.stop()


def hostile(cases, lab):
    server = without_capture(lab, "--decision-log-header", "x-evil", "--decision-log-query", "full")
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    forged = '"},\\"synauthz.verdict":"allow","x":"'
    reached = 0
    requests = (
        (f"/quotes{forged}", "plain"),
        ("/backslash\\\\n\\u0022", "\\"),
        ("/%0a%7b%22synauthz.verdict%22:%22allow%22%7d", "\t tabs \t"),
        ("/?" + forged, '"quoted"'),
        ("/" + "x" * 5000, "y" * 5000),
    )
    for path, value in requests:
        try:
            reached += connection.get(path, [("x-evil", value)]).status == 200
        except LabError:  # Envoy refuses some spellings itself, and closes
            connection = Connection(lab)
    lines = wait_for_lines(LOG, 1 + reached)
    cases.check("hostile requests get as far as us", reached >= 3, reached)
    cases.equal("each is one line, with the keys of every line", {len(line) for line in lines}, {len(lines[0])})
    cases.check("none forges a verdict", all(line["synauthz.verdict"] == "allow" for line in lines), lines)
    cases.check("what a client sent is in its place", any(line["url.query"] == forged for line in lines), lines)
    cut = [line for line in lines if line["synauthz.cut"]]
    cases.check("what is long is cut, and said to be", len(cut) == 1 and len(cut[0]["url.path"]) == 1024, cut)
    server.stop()

    # bytes that are no UTF-8 in a header value: Envoy passes them on in raw form only
    server = without_capture(lab, "--decision-log-header", "x-evil")
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    try:
        connection.get("/raw", [("x-evil", b"\xff\xfe\xc3\xa4")])
        cases.check("bytes that are no text make a line", len(wait_for_lines(LOG, 2)) >= 2)
    except LabError:
        cases.check("or Envoy refuses them", True)
    server.stop()


def what_ends_otherwise(cases, lab):
    server = without_capture(lab, "--max-request-bytes", "64KiB")
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    # 59 KB of headers are below Envoy's limit, and beyond ours with what Envoy adds
    status = connection.get("/" + "p" * 14000, [(f"x-{n}", "v" * 900) for n in range(48)]).status
    lines = wait_for_lines(LOG, 2)
    cases.equal("oversize", (status, lines[-1]["synauthz.verdict"], lines[-1]["synauthz.reason"]), (431, "deny", "oversize"))
    server.stop()

    server = serve(lab, "--source", "pins", "--pin-dir", os.path.join(SCRATCH, "no-pins"))
    wait_until(lambda: connection.get("/").status == 503 and os.path.exists(LOG) and lines_of(LOG), 10, "a fault")
    last = lines_of(LOG)[-1]
    cases.equal("a fault", (last["synauthz.verdict"], last["synauthz.reason"]), ("error", "fault"))
    cases.equal("and why", last["synauthz.fingerprint.state"], "unavailable")
    cases.equal("what it was about", (last["url.path"], last["client.port"]), ("/", connection.local[1]))
    server.stop()


# --------------------------------------------------------------------------------------------------- where lines go


class Load:
    """Requests from several connections until it is stopped; counts the answers."""

    def __init__(self, lab, connections=4):
        self.stopped, self.counts = threading.Event(), [0] * connections
        self.threads = [threading.Thread(target=self._ask, args=(lab, n), daemon=True) for n in range(connections)]
        for thread in self.threads:
            thread.start()

    def _ask(self, lab, number):
        connection = Connection(lab)
        while not self.stopped.is_set():
            self.counts[number] += connection.get(f"/load/{number}").status == 200

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        return sum(self.counts)


def rotation(cases, lab):
    server = without_capture(lab)
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    load, rotated = Load(lab), []
    for number in range(5):
        before = sum(load.counts)
        wait_until(lambda: sum(load.counts) > before + 50, 30, "some load")
        rotated.append(f"{LOG}.{number}")
        os.rename(LOG, rotated[-1])
        server.send(signal.SIGHUP)
        wait_until(lambda: os.path.exists(LOG), 10, "the log to be opened again")
    answered = load.stop()
    cases.equal("SIGTERM with lines on their way", server.stop(), 0)
    lines = [line for path in (*rotated, LOG) for line in lines_of(path) if line["url.path"].startswith("/load/")]
    cases.check("a log rotated five times under load loses nothing", answered and len(lines) == answered, (len(lines), answered))
    ids = [line["synauthz.decision_id"] for line in lines]
    cases.equal("and repeats nothing", len(set(ids)), len(ids))
    cases.equal("each part is in order", ids, sorted(ids))
    print(f"        {answered} requests")


def datagrams(cases, lab):
    path = os.path.join(FOLDER, "socket")

    def bound():
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(path)
        os.chmod(path, 0o777)
        receiver.settimeout(20)
        return receiver

    server = without_capture(lab, "--admin", f"unix:{ADMIN}", log=f"unix:{path}")
    connection = Connection(lab)
    wait_until(lambda: connection.get("/nobody").status == 200, 10, "Envoy to find the server")
    wait_until(lambda: metric(lab, "synauthz_decision_log_lines_total", result="dropped_no_receiver") >= 1, 10, "a dropped line")
    cases.check("without a receiver lines are dropped, counted and said", True)
    server.wait_for("nobody receives them")
    receiver = bound()
    time.sleep(0.3)  # it is looked for now and then
    for number in range(100):
        connection.get(f"/{number}")
    paths = [parse(receiver.recv(65536).decode())[0]["url.path"] for _ in range(100)]
    cases.equal("a receiver that comes gets a datagram for each line", paths, [f"/{n}" for n in range(100)])
    receiver.close()
    cases.equal("and when it goes, requests are answered", connection.get("/gone").status, 200)
    server.stop()


def standard_output(cases, lab):
    server = without_capture(lab, log="-")
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    connection.get("/to-stdout")
    server.wait_for("/to-stdout")
    server.stop()
    lines = [line for line in server.output().splitlines() if line.startswith("{")]
    cases.equal("standard output", json.loads(lines[-1])["url.path"], "/to-stdout")


def a_pipe_that_nobody_empties(cases, lab):
    """A reader of standard output that hangs delays neither requests nor the end."""
    reader, writer = os.pipe()
    new_log()
    console = os.path.join(SCRATCH, "console")
    with open(console, "wb") as out:
        server = subprocess.Popen(
            lab.server.inside(
                find_synauthz(), "serve", "--policy", lab.write("policy.yaml", POLICY), "--listen", f"unix:{SOCKET}",
                "--source", "none", "--decision-log", "-", "--decision-log-queue", "64KiB", "--admin", f"unix:{ADMIN}",
            ),
            stdout=writer,
            stderr=out,
        )
    os.close(writer)
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 20, "Envoy to find the server")
    slowest = 0.0
    for _ in range(400):  # more than the pipe and the queue hold
        began = time.monotonic()
        if connection.get("/full").status != 200:
            break
        slowest = max(slowest, time.monotonic() - began)
    else:
        cases.check("a full pipe: requests are answered all the same", slowest < 2, slowest)
    dropped = metric(lab, "synauthz_decision_log_lines_total", result="dropped_queue_full")
    cases.check("and lines are dropped and counted", dropped > 100, dropped)
    began = time.monotonic()
    server.terminate()
    cases.equal("and it ends", server.wait(30), 0)
    with open(console) as said:
        cases.check("saying what it could not write", "could not be written" in said.read())
    print(f"        ended within {time.monotonic() - began:.1f} s, slowest request {slowest * 1000:.1f} ms")
    os.close(reader)


# --------------------------------------------------------------------------------------------------- which lines


def chosen(cases, lab):
    server = without_capture(lab, "--decision-log-only", "deny")
    connection = Connection(lab)
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    for path in ("/", "/deny/1", "/", "/soon", "/deny/2"):
        connection.get(path)
    server.stop()
    cases.equal("deny only: denials, and what shadow rules would deny", [line["url.path"] for line in lines_of(LOG)], ["/deny/1", "/soon", "/deny/2"])

    server = without_capture(lab, "--decision-log-sample-allow", "10", "--decision-log-query", "names")
    wait_until(lambda: connection.get("/").status == 200, 10, "Envoy to find the server")
    for _ in range(400):
        connection.get("/often")
    connection.get("/deny?token=secret&b")
    server.stop()
    lines = lines_of(LOG)
    allowed = [line for line in lines if line["synauthz.verdict"] == "allow"]
    cases.check("one in ten of those allowed", 10 <= len(allowed) <= 90, len(allowed))
    cases.equal("which their lines say", {line["synauthz.sample"] for line in allowed}, {10})
    cases.equal("all that are denied, and names of a query", [(line["synauthz.sample"], line["url.query"]) for line in lines if line not in allowed], [(1, "token=REDACTED&REDACTED")])


def refused(cases, lab):
    policy = lab.write("policy.yaml", POLICY)

    def start(*options):
        return subprocess.run(
            [find_synauthz(), "serve", "--policy", policy, "--source", "none", "--listen", "unix:/run/lab/x", *options],
            text=True, capture_output=True, timeout=30,
        )

    for options, status, word in (
        (("--decision-log", os.path.join(SCRATCH, "only-root")), 1, "only-root: cannot open it to write: Permission denied"),
        (("--decision-log", "unix:relative"), 2, "expected an absolute path behind `unix:`"),
        (("--decision-log-only", "deny"), 2, "need --decision-log"),
        (("--decision-log", LOG, "--decision-log-header", "no header"), 2, "expected the name of a header"),
        (("--decision-log", LOG, "--decision-log-sample-allow", "0"), 2, "--decision-log-sample-allow"),
    ):
        done = start(*options)
        cases.check(f"refused: {' '.join(options)}", done.returncode == status and word in done.stderr, done)


def main(cases):
    lab = Lab()
    os.mkdir(FOLDER)
    os.chmod(FOLDER, 0o777)
    lab.start_upstream()
    lab.start_envoy()
    content(cases, lab)
    hostile(cases, lab)
    what_ends_otherwise(cases, lab)
    rotation(cases, lab)
    datagrams(cases, lab)
    standard_output(cases, lab)
    a_pipe_that_nobody_empties(cases, lab)
    chosen(cases, lab)
    refused(cases, lab)


run_cases(main)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`lookup` and `watch`: what an operator sees of connections, in words that scripts rely on."""

import contextlib
import json

from _cases import *
from _control_group import control_group

KEYS = ["source", "destination", "state", "reason", "p0f", "label", "os", "match", "distance", "mtu", "link", "hook",
        "age_ms", "isn"]  # fmt: skip
OS_KEYS = ["class", "name", "flavor", "family"]
# Of this lab alone: who watches sees connections to these ports in all namespaces.
OWN_PORT = 20000 + 10 * int(NUMBER or 0)
OTHER_PORT = OWN_PORT + 1
DATABASE = "/etc/p0f/p0f.fp"
XDP = ("--interface", SERVER_DEVICE, "--port", f"{OWN_PORT},{OTHER_PORT}", "--capture", "xdp")


def agent(lab, *options, namespace=None):
    return lab.start("agent", find_synauthz(), "agent", *options, namespace=namespace).wait_for("ready")


def cleanup(lab):
    lab.server.sh(find_synauthz(), "cleanup")


def run(*argv):
    return subprocess.run(
        [find_synauthz(), *argv],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
    )


def look_up(*argv):
    """(exit status, the objects, messages)"""
    done = run("lookup", *argv, "-o", "json")
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def text_of(address):
    return "[{}]:{}".format(*address) if ":" in address[0] else "{}:{}".format(*address)


def ends_of(connection):
    """Both ends, as `lookup` takes them."""
    return text_of(connection.local), text_of(connection.socket.getpeername()[:2])


class Listener:
    """Accepts connections on a port of both families, and keeps them."""

    def __init__(self, lab, port=OWN_PORT):
        self.port = port
        with lab.server.entered():
            self.socket = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self.accepted = []

    def connect(self, lab, *where, **how):
        connection = Connection(lab, *where, port=self.port, **how)
        self.accepted.append(self.socket.accept()[0])
        return connection


def is_whole(found):
    """Has it each key, in the order of the interface's page?"""
    return list(found) == KEYS and (found["os"] is None or list(found["os"]) == OS_KEYS)


# ---------------------------------------------------------------------------------------------------- lookup


def one_connection(cases, lab, listener):
    for version, address, starts, family in (
        ("IPv4", SERVER_IPV4, "4:64+0:0:", "linux"),
        ("IPv6", SERVER_IPV6, "6:64+0:0:", "unknown"),
    ):
        recording = lab.record_syns()
        connection = listener.connect(lab, address)
        source, destination = ends_of(connection)
        status, objects, messages = look_up(source, destination, "--database", DATABASE)
        cases.check(
            f"{version}: a live connection is verified", status == 0 and len(objects) == 1 and not messages, objects
        )
        found = objects[0]
        cases.check(f"{version}: with every key", is_whole(found), list(found))
        cases.equal(
            f"{version}: of this connection",
            [found[key] for key in ("source", "destination", "state", "reason", "hook", "distance", "mtu")],
            [source, destination, "verified", None, "xdp", 0, 1500],
        )
        cases.equal(
            f"{version}: the signature is p0f's", found["p0f"], recording.signatures().get(connection.local)
        )
        recorded = [
            json.loads(line)
            for line in run("fingerprint", recording.pcap, "--database", DATABASE, "-o", "json").stdout.splitlines()
        ]
        same = ("p0f", "label", "os", "match", "distance", "mtu", "link")
        cases.equal(
            f"{version}: and what `fingerprint` says of the SYN is the same",
            [{key: found[key] for key in same}],
            [{key: line[key] for key in same} for line in recorded if line["source"] == source],
        )
        cases.check(
            f"{version}: (which is known to the database, or not)",
            found["p0f"].startswith(starts) and found["os"]["family"] == family,
            found,
        )
        cases.check(
            f"{version}: age and sequence number are numbers",
            0 <= found["age_ms"] < 30000 and 0 <= found["isn"] < 1 << 32,
            found,
        )
        plain = look_up(source, destination)[1][0]
        cases.equal(
            f"{version}: without a database nothing is named",
            [plain["label"], plain["os"]["family"], plain["match"], plain["link"], plain["p0f"]],
            [None, "unknown", "none", None, found["p0f"]],
        )
        cases.check(
            f"{version}: in words",
            re.search(r"  verified  .*, by xdp \d+ ms ago\n$", run("lookup", source, destination).stdout),
        )
        connection.close(reset=True)


def many_connections(cases, lab, listener):
    other = Listener(lab, OTHER_PORT)
    first = listener.connect(lab, source_port=45000)
    second = other.connect(lab, source_port=45000)
    third = listener.connect(lab, source_port=45001)
    source = ends_of(first)[0]
    status, objects, _ = look_up(source)
    cases.equal(
        "without a destination: a line for each connection of that source",
        (status, sorted(found["destination"] for found in objects), {found["state"] for found in objects}),
        (0, [f"{SERVER_IPV4}:{OWN_PORT}", f"{SERVER_IPV4}:{OTHER_PORT}"], {"verified"}),
    )
    for connection in (first, second, third):
        connection.close(reset=True)
    time.sleep(0.3)
    status, objects, _ = look_up(source)
    cases.check(
        "and none when they have ended",
        status == 4 and len(objects) == 1 and is_whole(objects[0]) and objects[0]["state"] == "missing",
        objects,
    )


def absences(cases, lab):
    nobody = f"{CLIENT_IPV4}:1"
    for destination, reason in ((f"{SERVER_IPV4}:{OWN_PORT}", "not_seen"), (f"{SERVER_IPV4}:1", "filtered")):
        status, objects, _ = look_up(nobody, destination)
        cases.check(
            f"missing, {reason}: status 4, and facts are null",
            status == 4
            and is_whole(objects[0])
            and [objects[0]["state"], objects[0]["reason"]] == ["missing", reason]
            and {objects[0][key] for key in KEYS[4:]} == {None},
            objects,
        )
    for argv, status, words in (
        ([], 2, "argument is missing"),
        (["192.0.2.1"], 2, "ADDRESS:PORT"),
        (["192.0.2.1:80", "192.0.2.2:99999"], 2, "ADDRESS:PORT"),
        (["192.0.2.1:80", "[2001:db8::1]:80"], 2, "IP version"),
        (["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"], 2, "unexpected argument"),
        (["192.0.2.1:80", "--database", "none", "--database", DATABASE], 2, "goes with no other"),
        (["192.0.2.1:80", "--database", "/nothing"], 1, "/nothing"),
        (["192.0.2.1:80", "--redirect-port", "0"], 2, "--redirect-port 0"),
    ):
        done = run("lookup", *argv)
        cases.check(f"lookup {' '.join(argv)}: {words}", done.returncode == status and words in done.stderr, done)


def without_an_agent(cases):
    status, objects, messages = look_up(f"{CLIENT_IPV4}:1", f"{SERVER_IPV4}:{OWN_PORT}")
    cases.check(
        "no agent: unavailable, and why",
        status == 4
        and [objects[0]["state"], objects[0]["reason"]] == ["unavailable", "map_error"]
        and "no agent" in messages,
        (status, objects, messages),
    )
    done = run("watch", "--count", "1")
    cases.check("no agent: nothing to watch", done.returncode == 1 and "no agent" in done.stderr, done)


def untracked(cases, lab, listener):
    running = agent(lab, *XDP, "--tracking", "off", "--captured-seconds", "3")
    connection = listener.connect(lab)
    source, destination = ends_of(connection)
    for argv in ((source, destination), (source,)):
        status, objects, _ = look_up(*argv)
        cases.check(
            f"a host that cannot follow sockets: captured, untracked ({len(argv)} arguments)",
            status == 0 and [objects[0]["state"], objects[0]["reason"]] == ["captured", "untracked"],
            objects,
        )
    time.sleep(3.2)
    status, objects, _ = look_up(source, destination)
    cases.check("and only for a time", status == 4 and objects[0]["state"] == "missing", objects)
    running.stop()
    cleanup(lab)


@contextlib.contextmanager
def moved_to(group):
    """This process in a control group; its sockets belong to the one that they are made in."""
    home = os.path.dirname(group)
    try:
        move(group)
        yield
    finally:
        move(home)


def move(group):
    with open(os.path.join(group, "cgroup.procs"), "w") as processes:
        processes.write("0")  # whoever writes it


def inside_the_node(cases, lab):
    """The agent outside of the server's namespace, as a node's is outside of its pods'."""
    with control_group() as group, lab.client.changed("net.ipv4.ip_default_ttl", 61):
        running = agent(
            lab, "--port", str(OWN_PORT), "--capture", "cgroup", "--cgroup", group, "--node-hops", "2",
            namespace=Namespace("node"),
        )  # fmt: skip
        with moved_to(group):
            listener = Listener(lab)
        connection = listener.connect(lab)
        status, objects, messages = look_up(*ends_of(connection))
        cases.check(
            "behind the node's routers: p0f's signature, and the distance to the node",
            status == 0
            and objects[0]["hook"] == "cgroup"
            and objects[0]["p0f"].startswith("4:61+3:")
            and objects[0]["distance"] == 1,
            (status, objects, messages),
        )
        connection.close(reset=True)
        running.stop()
        cleanup(lab)


# ----------------------------------------------------------------------------------------------------- watch


def start_watch(lab, *options):
    return Program("watch", [find_synauthz(), "watch", *options]).wait_for("watching")


def events(watch):
    return [json.loads(line) for line in watch.output().splitlines() if line.startswith("{")]


def watching(cases, lab, listener):
    watch = start_watch(lab, "--count", "3", "-o", "json", "--database", DATABASE)
    connections = [listener.connect(lab, address) for address in (SERVER_IPV4, SERVER_IPV6, SERVER_IPV4)]
    cases.equal("watch ends after --count lines", watch.process.wait(10), 0)
    seen = events(watch)
    cases.check("each line has every key", len(seen) == 3 and all(map(is_whole, seen)), seen)
    cases.equal(
        "a line for each connection, as lookup shows it",
        [{key: event[key] for key in KEYS if key != "age_ms"} for event in seen],
        [
            {key: look_up(*ends_of(connection), "--database", DATABASE)[1][0][key] for key in KEYS if key != "age_ms"}
            for connection in connections
        ],
    )
    for connection in connections:
        connection.close(reset=True)

    watch = start_watch(lab)
    second = run("watch", "--count", "1")
    cases.check(
        "a second watcher is told so", second.returncode == 1 and "somebody else watches" in second.stderr, second
    )
    connection = listener.connect(lab)
    wait_until(lambda: "verified" in watch.output(), 5, "the event in words")
    cases.check("in words", re.search(rf"^{re.escape(ends_of(connection)[0])} > .*  verified  ", watch.output(), re.M))
    cases.equal("SIGINT ends it", watch.stop(signal.SIGINT), 0)

    killed = start_watch(lab)
    killed.stop(signal.SIGKILL)
    watch = start_watch(lab, "-o", "json")
    cases.check("a watcher that was killed leaves its place", watch.runs())
    refused = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", "65534", readable_program(), "watch"],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    cases.check("watching takes the agent's privileges", refused.returncode == 1 and "root" in refused.stderr, refused)
    return watch


def readable_program():
    copy = os.path.join(SCRATCH, "synauthz")
    if not os.path.exists(copy):
        sh("install", "-m", "755", find_synauthz(), copy)
    return copy


def watching_on(cases, lab, listener, watch, running):
    """Over a restart of the agent with other sizes: another set of maps."""
    running.stop()
    running = agent(lab, *XDP, "--max-live", "4096")
    deadline = time.monotonic() + 8
    sources = set()
    while time.monotonic() < deadline and not sources & {event["source"] for event in events(watch)}:
        connection = listener.connect(lab)
        sources.add(ends_of(connection)[0])
        time.sleep(0.2)
        connection.close(reset=True)
    last = events(watch)[-1:]
    cases.check("watch follows the agent to other maps", last and last[0]["source"] in sources, (last, watch.output()))
    cases.equal("and SIGTERM ends it", watch.stop(), 0)
    return running


def main(cases):
    lab = Lab()
    without_an_agent(cases)
    listener = Listener(lab)
    running = agent(lab, *XDP)
    one_connection(cases, lab, listener)
    many_connections(cases, lab, listener)
    absences(cases, lab)
    watch = watching(cases, lab, listener)
    watching_on(cases, lab, listener, watch, running).stop()
    cleanup(lab)
    left = os.path.exists("/run/synauthz/bpf")
    cases.equal("cleanup leaves nothing in the pin folder, whoever has watched", left, False)
    untracked(cases, lab, listener)
    listener.socket.close()
    inside_the_node(cases, lab)


run_cases(main)

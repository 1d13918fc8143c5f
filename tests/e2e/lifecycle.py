#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server as a process: what it may do, how it ends, what Envoy does without it, how policies and servers change."""

import stat
import threading

from _cases import *

POLICY = """\
version: 1
rules:
  - id: enrich
    when: {{fingerprint.state: verified}}
    then: continue
    request_headers: {{set: {{x-tcp-p0f: "%{{p0f}}"}}}}
  - id: name
    then: continue
    request_headers: {{set: {{x-served-by: "{name}"}}}}
default: allow
on_unknown: skip
"""


def policy_named(lab, name):
    return lab.write("policy.yaml", POLICY.format(name=name))


def served_by(connection):
    reply = connection.get()
    return reply.status, reply.upstream("x-served-by")


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def descriptors_of(pid):
    """The fdinfo of every descriptor, as a list of dictionaries."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{name}") as file:
            found.append(dict(line.strip().split(":\t", 1) for line in file if ":\t" in line))
    return found


def privileges(cases, server):
    status = status_of(server.pid)
    cases.check("it is nobody: user", set(status["Uid"].split()) == {str(NOBODY)}, status["Uid"])
    cases.check("it is nobody: group", set(status["Gid"].split()) == {str(NOBODY)}, status["Gid"])
    cases.equal("it is in no other group", status["Groups"].split(), [])
    for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
        cases.equal(f"it has no capability: {kind}", int(status[kind], 16), 0)
    cases.equal("it can gain no privilege", status["NoNewPrivs"], "1")
    threads = [status_of(f"{server.pid}/task/{thread}") for thread in os.listdir(f"/proc/{server.pid}/task")]
    cases.check(
        "nor has any of its threads one",
        all(int(thread["CapEff"], 16) == 0 and thread["NoNewPrivs"] == "1" for thread in threads),
        len(threads),
    )
    descriptors = descriptors_of(server.pid)
    maps = [descriptor for descriptor in descriptors if "map_type" in descriptor]
    links = [descriptor["link_id"] for descriptor in descriptors if "link_id" in descriptor]
    cases.check("it holds the links of its hooks", len(links) >= 2, descriptors)
    cases.equal("it holds no BPF program", [d for d in descriptors if "prog_type" in d and "link_id" not in d], [])
    cases.check(
        "it can read maps and write none",
        maps and all(int(d["flags"], 8) & os.O_ACCMODE == os.O_RDONLY or d.get("frozen") == "1" for d in maps),
        maps,
    )
    return links


def socket_file(cases):
    found = os.lstat(SOCKET)
    cases.check(
        "the socket has the mode and group that --listen names",
        stat.S_ISSOCK(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o660 and found.st_gid == NOBODY,
        (oct(found.st_mode), found.st_gid),
    )
    cases.equal("no temporary name is left beside it", os.listdir(os.path.dirname(SOCKET)), [os.path.basename(SOCKET)])


def nothing_attached(cases, lab, links, when):
    # the kernel takes a link away a moment after its last descriptor
    def gone():
        return not lab.attached() and all(
            subprocess.run(
                ["bpftool", "link", "show", "id", link], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ).returncode
            != 0
            for link in links
        )

    try:
        wait_until(gone, 5, "the hooks to go")
        cases.check(f"{when}: nothing stays attached", True)
    except LabError as error:
        cases.check(f"{when}: nothing stays attached", False, str(error))


def ends_and_restarts(cases, lab):
    policy = policy_named(lab, "first")
    server = lab.serve(policy, listen=f"unix:{SOCKET},mode=0660,group=nogroup")
    lab.start_upstream()
    lab.start_envoy()
    links = privileges(cases, server)
    socket_file(cases)

    connection = Connection(lab)
    cases.equal("it answers", served_by(connection), (200, ["first"]))
    cases.equal("SIGTERM: exit status", server.stop(), 0)
    nothing_attached(cases, lab, links, "SIGTERM")
    cases.equal("the socket's path stays for the next server", os.path.exists(SOCKET), True)
    cases.equal("no server: Envoy fails closed", connection.get().status, 503)

    server = lab.serve(policy_named(lab, "second"))
    links = [d["link_id"] for d in descriptors_of(server.pid) if "link_id" in d]
    wait_until(lambda: served_by(connection)[0] == 200, 10, "Envoy to find the new server")
    reply = connection.get("/", [("x-tcp-p0f", "forged")])
    cases.equal(
        "a connection older than the server has no fingerprint, and none of the client's making",
        reply.upstream("x-tcp-p0f"),
        [],
    )
    cases.check("a new one has", len(Connection(lab).get().upstream("x-tcp-p0f")) == 1)

    server.stop(signal.SIGINT)
    nothing_attached(cases, lab, links, "SIGINT")
    server = lab.serve(policy)
    links = [d["link_id"] for d in descriptors_of(server.pid) if "link_id" in d]
    cases.equal("SIGKILL ends it", server.stop(signal.SIGKILL), -signal.SIGKILL)
    nothing_attached(cases, lab, links, "SIGKILL")


def reload(cases, lab):
    policy = policy_named(lab, "one")
    server = lab.serve(policy)
    connection = Connection(lab)
    wait_until(lambda: served_by(connection) == (200, ["one"]), 10, "the first policy")
    policy_named(lab, "two")
    server.send(signal.SIGHUP)
    server.wait_for("policy reloaded")
    cases.equal("SIGHUP: the new policy answers", served_by(connection), (200, ["two"]))
    lab.write("policy.yaml", POLICY.format(name="three") + "defualt: deny\n")
    server.send(signal.SIGHUP)
    server.wait_for("not reloaded")
    cases.equal("SIGHUP: a broken policy changes nothing", served_by(connection), (200, ["two"]))
    cases.check(
        "and the message says where and what",
        re.search(r"policy\.yaml:\d+:\d+: .*defualt.*default", server.output()),
        server.output(),
    )
    os.unlink(policy)
    server.send(signal.SIGHUP)
    wait_until(lambda: server.output().count("not reloaded") == 2, 10, "the complaint about a missing file")
    cases.equal("SIGHUP: nor does a missing one", served_by(connection), (200, ["two"]))
    policy_named(lab, "four")
    server.send(signal.SIGHUP)
    wait_until(lambda: server.output().count("policy reloaded") == 2, 10, "the second reload")
    cases.equal("SIGHUP: a mended one answers again", served_by(connection), (200, ["four"]))
    server.stop()


def hand_over(cases, lab):
    """A second server takes the socket's path over while requests run."""
    server = lab.serve(policy_named(lab, "zero"), "--source", "none")
    wait_until(lambda: served_by(Connection(lab)) == (200, ["zero"]), 10, "Envoy to find the server")
    seen, stop, lock = [], threading.Event(), threading.Lock()

    def ask():
        connection = Connection(lab)
        while not stop.is_set():
            answer = served_by(connection)
            with lock:
                seen.append(answer)

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    names = [f"heir-{n}" for n in range(5)]
    for name in names:
        heir = lab.serve(policy_named(lab, name), "--source", "none")
        server.stop()
        server = heir
        wait_until(lambda: (200, [name]) in seen, 10, f"an answer of {name}")
        time.sleep(0.2)
    stop.set()
    for asker in askers:
        asker.join()
    lost = [answer for answer in seen if answer[0] != 200]
    cases.check("five hand-overs under load lose no request", len(seen) > 500 and not lost, (len(seen), lost[:3]))
    cases.check(
        "each server answered in its turn",
        {answer[1][0] for answer in seen if answer[1]} >= set(names),
        {str(answer) for answer in seen},
    )
    print(f"        {len(seen)} requests")
    server.stop()


def service_manager(cases, lab):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(os.path.join(SCRATCH, "notify"))
        os.chmod(os.path.join(SCRATCH, "notify"), 0o777)  # as systemd's is
        manager.settimeout(10)
        server = lab.serve(
            policy_named(lab, "x"),
            "--source",
            "none",
            env={**os.environ, "NOTIFY_SOCKET": os.path.join(SCRATCH, "notify")},
        )
        cases.equal("it tells the service manager that it is ready", manager.recv(100), b"READY=1")
        server.stop()
        cases.equal("and that it stops", manager.recv(100), b"STOPPING=1")


def refused_starts(cases, lab):
    """A start that fails leaves the running server and its socket alone."""
    server = lab.serve(policy_named(lab, "old"), "--source", "none")
    connection = Connection(lab)
    wait_until(lambda: served_by(connection) == (200, ["old"]), 10, "Envoy to find the server")
    binary, broken = find_synauthz(), lab.write("broken.yaml", "version: 1\nrules: {}\n")
    secret = lab.write("secret.yaml", POLICY.format(name="secret"))
    os.chmod(secret, 0o600)
    for name, arguments, status in (
        ("a broken policy", ("--policy", broken, "--source", "none"), 3),
        ("a policy that only root may read", ("--policy", secret, "--source", "none"), 3),
        (
            "a missing capture file",
            ("--policy", lab.write("p.yaml", POLICY.format(name="p")), "--source", "pcap:/nowhere.pcap"),
            3,
        ),
        (
            "a device that is not there",
            ("--policy", os.path.join(SCRATCH, "p.yaml"), "--attach", "nodevice", "--port", "80"),
            1,
        ),
    ):
        done = subprocess.run(
            lab.server.inside(binary, "serve", "--listen", f"unix:{SOCKET}", *arguments),
            text=True,
            timeout=20,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        cases.equal(f"{name}: exit status", done.returncode, status)
        cases.check(
            f"{name}: one line says why",
            done.stderr.startswith("synauthz: ") and done.stderr.count("\n") == 1 and done.stdout == "",
            done.stderr,
        )
        cases.equal(f"{name}: the running server still answers", served_by(connection), (200, ["old"]))
    server.stop()


def second_attachment(cases, lab):
    """A device that has an XDP program already is refused, and nothing happens to the first one's program."""
    server = lab.serve(policy_named(lab, "owner"))
    wait_until(lambda: served_by(Connection(lab)) == (200, ["owner"]), 10, "Envoy to find the server")
    done = subprocess.run(
        lab.server.inside(
            find_synauthz(),
            "serve",
            "--listen",
            f"unix:{SOCKET}",
            "--policy",
            os.path.join(SCRATCH, "policy.yaml"),
            "--attach",
            SERVER_DEVICE,
            "--port",
            "80",
        ),
        text=True,
        timeout=20,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    cases.check(
        "a second server on the device: refused, naming it", done.returncode == 1 and SERVER_DEVICE in done.stderr, done
    )
    reply = Connection(lab).get()
    cases.check(
        "the first one captures and answers on",
        reply.upstream("x-served-by") == ["owner"] and len(reply.upstream("x-tcp-p0f")) == 1,
        reply,
    )
    server.stop()


def main(cases):
    lab = Lab()
    ends_and_restarts(cases, lab)
    reload(cases, lab)
    hand_over(cases, lab)
    service_manager(cases, lab)
    refused_starts(cases, lab)
    second_attachment(cases, lab)


run_cases(main)

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fingerprint is its connection's: not a spoofed SYN's, not that of the one before on the port, not lost in a flood."""

import ipaddress

from _cases import *


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn_frame(lab, source, source_port, destination, destination_port, sequence):
    """An Ethernet frame with a SYN that claims to be from somebody else, TTL 255, window 1024, no options."""
    tcp = struct.pack(">HHIIBBHHH", source_port, destination_port, sequence, 0, 5 << 4, 0x02, 1024, 0, 0)
    src, dst = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if src.version == 4:
        pseudo = src.packed + dst.packed + struct.pack(">BBH", 0, 6, len(tcp))
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 255, 6, 0) + src.packed + dst.packed
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    else:
        pseudo = src.packed + dst.packed + struct.pack(">II", len(tcp), 6)
        ip = struct.pack(">IHBB", 6 << 28, len(tcp), 6, 255) + src.packed + dst.packed
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    return (
        mac(lab.server, SERVER_DEVICE)
        + mac(lab.client, CLIENT_DEVICE)
        + struct.pack(">H", 0x0800 if src.version == 4 else 0x86DD)
        + ip
        + tcp
    )


def mac(namespace, device):
    with namespace.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        return raw.getsockname()[4]


def send_spoofed(lab, local, remote, count=20):
    with lab.client.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((CLIENT_DEVICE, 0))
        for n in range(count):
            raw.send(syn_frame(lab, local[0], local[1], remote, PORT, 1000 + n))
    time.sleep(0.3)


def spoofing(cases, lab):
    for version, address in (("IPv4", SERVER_IPV4), ("IPv6", SERVER_IPV6)):
        connection = Connection(lab, address)
        before = connection.get().upstream("x-tcp-p0f")
        recording = lab.record_syns()
        send_spoofed(lab, connection.local, address)
        seen = recording.signatures().get(connection.local)
        cases.check(
            f"{version}: (p0f saw the spoofed SYNs and takes them for the connection's)",
            seen is not None and [seen] != before,
            seen,
        )
        after = connection.get()
        cases.check(
            f"{version}: 20 spoofed SYNs on the live tuple change nothing",
            before and after.upstream("x-tcp-p0f") == before and after.upstream("x-tcp-state") == ["verified"],
            (before, after),
        )

        port = 41000 + (version == "IPv6")
        local = (CLIENT_IPV4 if version == "IPv4" else CLIENT_IPV6, port)
        send_spoofed(lab, local, address)
        fresh = Connection(lab, address, source_port=port).get()
        cases.check(
            f"{version}: spoofed SYNs before a connection do not become its fingerprint",
            fresh.upstream("x-tcp-p0f") == before and fresh.upstream("x-tcp-state") == ["verified"],
            (before, fresh),
        )


def port_reuse(cases, lab):
    for version, address in (("IPv4", SERVER_IPV4), ("IPv6", SERVER_IPV6)):
        first = Connection(lab, address, source_port=45678)
        old = first.get().upstream("x-tcp-p0f")
        first.close(reset=True)
        time.sleep(0.2)
        with lab.client.changed("net.ipv4.tcp_window_scaling", 0):
            second = Connection(lab, address, source_port=45678)
        new = second.get().upstream("x-tcp-p0f")
        cases.check(
            f"{version}: a reused port has the signature of its own SYN", old and new and old != new, (old, new)
        )
        second.close(reset=True)


def flood(cases, lab):
    old = [Connection(lab, address) for address in (SERVER_IPV4, SERVER_IPV6)]
    before = [connection.get().upstream("x-tcp-p0f") for connection in old]
    hping = subprocess.run(
        lab.client.inside(
            "timeout",
            "--signal=INT",
            "10",
            "hping3",
            "-q",
            "-S",
            "--flood",
            "--rand-source",
            "-p",
            str(PORT),
            SERVER_IPV4,
        ),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    sent = int((re.findall(r"(\d+) packets", hping.stdout) or [0])[0])
    cases.check("(the flood was one)", sent > 100_000, hping.stdout)
    print(f"        {sent} SYNs from random sources")
    cases.check(
        "connections from before the flood keep their fingerprint",
        all(
            connection.get().upstream("x-tcp-p0f") == signature and signature
            for connection, signature in zip(old, before)
        ),
    )
    fresh = [Connection(lab, address) for address in (SERVER_IPV4, SERVER_IPV6) for _ in range(20)]
    cases.check(
        "connections made after it are verified",
        all(connection.get().upstream("x-tcp-state") == ["verified"] for connection in fresh),
    )


def main(cases):
    lab = Lab()
    lab.serve(lab.copy(os.path.join(E2E, "policy.yaml")))
    lab.start_upstream()
    lab.start_envoy()
    spoofing(cases, lab)
    port_reuse(cases, lab)
    flood(cases, lab)


run_cases(main)

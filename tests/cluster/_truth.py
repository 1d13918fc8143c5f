# SPDX-License-Identifier: Apache-2.0
"""What clients really sent: tcpdump on their own devices, judged by the real p0f."""

import ipaddress
import os
import struct
import time

from _cases import SCRATCH, Program, canonical, sh

SYNS = "(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn) or (ip6 proto 6 and ip6[53] & 0x12 == 2)"
ETHERNET, IPV4_TYPE = 14, 0x0800


class Syn:
    def __init__(self, isn, signature):
        self.isn, self.signature = isn, signature

    def after(self, hops):
        """p0f's signature of it, as many routers later."""
        version, ttl, rest = self.signature.split(":", 2)
        arrived, distance = map(int, ttl.split("+"))
        return f"{version}:{arrived - hops}+{distance + hops}:{rest}"


class Recording:
    """tcpdump on one device; syns() ends it."""

    def __init__(self, namespace, device):
        self.pcap = os.path.join(SCRATCH, f"{namespace.name}.{device}.pcap")
        argv = ["tcpdump", "-Z", "root", "-i", device, "-U", "--immediate-mode", "-w", self.pcap, SYNS]
        self.tcpdump = Program(f"tcpdump.{namespace.name}", namespace.inside(*argv))

    def wait(self):
        self.tcpdump.wait_for("listening on")
        return self

    def syns(self):
        """{(source, port, destination, port): Syn}"""
        time.sleep(0.2)
        self.tcpdump.stop()
        log = self.pcap + ".p0f"
        sh("p0f", "-f", "/etc/p0f/p0f.fp", "-r", self.pcap, "-o", log)
        isns = dict(_isns(self.pcap))
        return {flow: Syn(isns.get(flow), signature) for flow, signature in _signatures(log)}


def _signatures(log):
    with open(log) as lines:
        for line in lines:
            said = dict(field.split("=", 1) for field in line.split("] ", 1)[1].strip().split("|"))
            if said["mod"] == "syn":
                client, server = (said[key].rsplit("/", 1) for key in ("cli", "srv"))
                yield (canonical(client[0]), int(client[1]), canonical(server[0]), int(server[1])), said["raw_sig"]


def _isns(pcap):
    """(flow, sequence number) of each packet of a capture file of Ethernet frames in host order."""
    with open(pcap, "rb") as file:
        file.read(24)
        while header := file.read(16):
            frame = file.read(struct.unpack("=IIII", header)[2])
            if struct.unpack_from(">H", frame, 12)[0] == IPV4_TYPE:
                tcp, at, size = ETHERNET + (frame[ETHERNET] & 15) * 4, ETHERNET + 12, 4
            else:
                tcp, at, size = ETHERNET + 40, ETHERNET + 8, 16
            source, destination = (str(ipaddress.ip_address(frame[i : i + size])) for i in (at, at + size))
            ports = struct.unpack_from(">HHI", frame, tcp)
            yield (source, ports[0], destination, ports[1]), ports[2]

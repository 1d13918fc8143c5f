# SPDX-License-Identifier: Apache-2.0
"""Random SYN frames, near real ones and far from them, each from a client address of its own.

A frame comes in two forms: as it is on the wire, and as p0f is to see it, which has no VLAN tags and no IPv6 extension
headers (p0f does not look behind either; the program under test does).
"""
import struct

REAL_LAYOUTS = (
    "mss,sok,ts,nop,ws", "mss,nop,ws,nop,nop,sok", "mss,nop,ws,nop,nop,ts,sok,eol+1", "mss,nop,ws,sok,ts", "mss", "",
    "mss,nop,nop,sok,nop,ws,nop,nop,ts", "mss,nop,nop,sok", "mss,nop,ws,nop,nop,ts", "mss,nop,ws", "mss,sok,eol+1",
    "mss,nop,ws,nop,nop,ts,nop,nop,sok", "ws,nop,mss,ts", "mss,ts,sok,eol+0", "nop,nop,ts,nop,ws", "mss,sok,ts,nop,ws,?34,nop,nop",
    "mss,nop,nop,ts", "mss,sok,ts", "ws,nop,nop,sok,mss,nop,nop,ts", "nop,nop,sok,mss,nop,ws,nop,nop,ts",
)
MSS = (1460, 1440, 1400, 1380, 1360, 1452, 1412, 1337, 1331, 536, 1220, 8960, 65495, 16344, 100, 99, 265, 64, 12, 0, 1, 65535)
KINDS = {"eol": 0, "nop": 1, "mss": 2, "ws": 3, "sok": 4, "sack": 5, "ts": 8}


def chance(rng, part):
    return rng.random() < part


def option(rng, name, facts):
    """The bytes of one option; sometimes its length is a lie."""
    if name == "nop":
        return b"\x01"
    if name.startswith("eol"):
        pad = bytes(int(name[4:] or 0)) if "+" in name else b""
        if pad and chance(rng, 0.2):
            pad = bytes(rng.choice((0, 0, 0, 1, 255)) for _ in pad)
        return b"\x00" + pad
    lie = chance(rng, 0.03)
    length = {"mss": 4, "ws": 3, "sok": 2, "ts": 10}.get(name)
    if length:
        kind = KINDS[name]
        value = {"mss": struct.pack(">H", facts["mss"]), "ws": bytes([facts["scale"]]), "sok": b"",
                 "ts": struct.pack(">II", facts["ts1"], facts["ts2"])}[name]
    else:
        kind = 5 if name == "sack" else int(name[1:])
        value = bytes(rng.randrange(256) for _ in range(rng.choice((0, 2, 8, 8, 10, 16, 32, 33))))
        length = 2 + len(value)
    return bytes([kind, rng.randrange(256) if lie else length]) + value


def options(rng, facts):
    """The option area: a real layout, a changed one, or any bytes; a multiple of 4, 40 at most."""
    names = [name for name in rng.choice(REAL_LAYOUTS).split(",") if name]
    style = rng.random()
    if style < 0.1:
        return bytes(rng.choice((0, 1, 2, 3, 4, 5, 8, 10, 30, 34, rng.randrange(256))) for _ in range(rng.randrange(11) * 4))
    if style < 0.5:
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(names) + 1)
            new = rng.choice(("nop", "mss", "ws", "sok", "sack", "ts", "eol+0", "eol+2", f"?{rng.randrange(256)}", "?19", "?30"))
            what = rng.randrange(3)
            if what == 0:
                names.insert(at, new)
            elif names:
                at = min(at, len(names) - 1)
                names[at:at + 1] = [new] if what == 1 else []
    area = b"".join(option(rng, name, facts) for name in names)
    if chance(rng, 0.03):
        area += b"\x01" * 40
    if chance(rng, 0.03):
        area = area[:rng.randrange(len(area) + 1)]
    fill = rng.choice((b"\x01", b"\x01", b"\x00", b"\x00", b"\x07"))
    return (area + fill * (-len(area) % 4))[:40]


def window(rng, facts):
    mss = facts["mss"]
    divisor = rng.choice((mss, mss, mss, mss - 12, 1460, 1448, 1440, 1428, 1500, mss + 40, mss + 60, mss + 52, mss + 80, mss + 92))
    if chance(rng, 0.6) and 0 < divisor < 65536:
        return divisor * rng.randint(1, 65535 // divisor)
    return rng.choice((0, 1, 512, 1024, 1337, 4096, 5840, 8192, 16384, 29200, 32120, 64240, 65535, rng.randrange(65536)))


def facts_of(rng):
    facts = {"mss": rng.choice(MSS) if chance(rng, 0.8) else rng.randrange(65536),
             "scale": rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 10, 14, 15, 255, rng.randrange(256))),
             "ts1": rng.choice((0, 1, rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(32))),
             "ts2": 0 if chance(rng, 0.9) else rng.getrandbits(32)}
    if chance(rng, 0.02):
        facts["mss"] = 1331
    return facts


def tcp(rng):
    facts = facts_of(rng)
    area = options(rng, facts)
    flags = 2 if chance(rng, 0.8) else 2 | rng.choice((8, 32, 64, 128, 0xC0, 0xE8, rng.randrange(256)))
    if chance(rng, 0.04):
        flags = rng.randrange(256)
    offset = 5 + len(area) // 4
    if chance(rng, 0.02):
        offset = rng.randrange(16)
    reserved = 0 if chance(rng, 0.93) else rng.randrange(16)
    sequence = 0 if chance(rng, 0.05) else rng.getrandbits(32)
    ack = 0 if chance(rng, 0.85) else rng.choice((1, 255, 1 << 24, 1 << 25, 0xFFFFFFFF, rng.getrandbits(32)))
    win = 1337 if facts["mss"] == 1331 and chance(rng, 0.5) else window(rng, facts)
    urgent = 0 if chance(rng, 0.93) else rng.choice((1, rng.randrange(65536)))
    header = struct.pack(">HHIIBBHHH", rng.randint(1024, 65535), rng.choice((80, 443, 8443)), sequence, ack,
                         offset << 4 | reserved, flags, win, rng.getrandbits(16), urgent)
    return header + area + bytes(rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 12, 100)))


def ttl_of(rng):
    return rng.choice((32, 64, 64, 64, 128, 128, 255, 63, 60, 127, 250)) if chance(rng, 0.6) else rng.randrange(256)


def lied_length(rng, length):
    """Mostly the truth."""
    if chance(rng, 0.96):
        return length
    return max(0, min(65535, rng.choice((length + rng.randint(1, 40), length - rng.randint(1, 40), 0, 40, 60, rng.randrange(65536)))))


def ip4(rng, number, payload):
    words = 0 if chance(rng, 0.93) else rng.randint(1, 10)
    ihl = 5 + words
    if chance(rng, 0.01):
        ihl = rng.randrange(16)
    fragment = rng.choice((0x4000, 0x4000, 0x4000, 0x4000, 0))
    if chance(rng, 0.05):
        fragment = rng.choice((0x8000, 0xC000, 0x2000, 0x0001, 0x6000, 0x4001, rng.randrange(65536)))
    identity = 0 if chance(rng, 0.3) else rng.randrange(65536)
    tos = 0 if chance(rng, 0.85) else rng.randrange(256)
    protocol = 6 if chance(rng, 0.99) else rng.choice((1, 17))
    source = struct.pack(">I", (10 << 24) + number + 1)
    header = struct.pack(">BBHHHBBH", 0x40 | ihl, tos, lied_length(rng, 20 + 4 * words + len(payload)), identity, fragment,
                         ttl_of(rng), protocol, 0) + source + bytes((192, 0, 2, 80))
    return header + bytes(rng.choice((0, 1, 7, 148)) for _ in range(4 * words)) + payload


def extension_headers(rng):
    """(first next header, bytes) of what p0f does not look behind."""
    chain, following = b"", 6
    kinds = [rng.choice((0, 43, 60)) for _ in range(rng.randint(1, 3))]
    for kind in reversed(kinds):
        units = rng.choice((0, 0, 1, 3))
        chain = bytes((following, units)) + bytes(6 + 8 * units) + chain
        following = kind
    return following, chain


def ip6(rng, number, payload):
    """(on the wire, for p0f)."""
    label = 0 if chance(rng, 0.4) else rng.getrandbits(20)
    traffic_class = 0 if chance(rng, 0.85) else rng.randrange(256)
    following = 6 if chance(rng, 0.98) else rng.choice((17, 44, 58, 59))
    chain = b""
    hops = ttl_of(rng)
    addresses = bytes.fromhex("20010db8000100000000000000000000")[:12] + struct.pack(">I", number + 1) + bytes.fromhex("20010db8000200000000000000000050")
    length = lied_length(rng, len(payload))

    def build(next_header, before, total):
        return struct.pack(">IHBB", 6 << 28 | traffic_class << 20 | label, total, next_header, hops) + addresses + before + payload
    plain = build(following, b"", length)
    if following == 6 and chance(rng, 0.05):
        following, chain = extension_headers(rng)
        if length + len(chain) <= 65535:
            return build(following, chain, length + len(chain)), plain
    return plain, plain


def tags(rng):
    if chance(rng, 0.93):
        return b""
    inner = struct.pack(">HH", 0x8100, rng.randrange(65536))
    return inner if chance(rng, 0.5) else struct.pack(">HH", rng.choice((0x8100, 0x88A8)), rng.randrange(65536)) + inner


def random_frame(rng, number):
    """(on the wire, for p0f): each (bytes, length on the wire)."""
    segment = tcp(rng)
    if chance(rng, 0.6):
        wire = plain = ip4(rng, number, segment)
        kind = b"\x08\x00"
    else:
        wire, plain = ip6(rng, number, segment)
        kind = b"\x86\xdd"
    padding = b"" if chance(rng, 0.8) else bytes(rng.choice((0, 0, 255)) for _ in range(rng.randint(1, 30)))
    ethernet = bytes.fromhex("020000000001020000000002")
    shown = [ethernet + tags(rng) + kind + wire + padding, ethernet + kind + plain + padding]
    cut = rng.randint(1, 70) if chance(rng, 0.02) else 0
    short = rng.randint(1, 40) if chance(rng, 0.01) else 0    # the file says that less was on the wire than it holds
    return tuple((frame[:max(14, len(frame) - cut)], max(14, len(frame) - short)) for frame in shown)

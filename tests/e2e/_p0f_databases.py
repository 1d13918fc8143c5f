# SPDX-License-Identifier: Apache-2.0
"""Random p0f.fp databases that fit given signatures well, nearly, or not at all, with mistakes strewn in."""
CLASSES = ("win", "unix", "other", "UNIX")
NAMES = ("Linux", "linux", "Windows", "Mac OS X", "Foo-1.0_(x)!?", "Bar/2", "A", "Wind")
FLAVORS = ("", "3.x", "a:b:c", "x = y", "[z]; # 1", "newer \xfc", "newer \xc3\xbc", "\"quoted\\\"")
QUIRKS = ("df", "id+", "id-", "ecn", "0+", "flow", "seq-", "ack+", "ack-", "uptr+", "urgf+", "pushf+", "ts1-", "ts2+", "opt+", "exws", "bad")


def near(rng, signature):
    """A pattern for this signature; most fields as they are, some wider, some different."""
    version, ttl, olen, mss, window, layout, quirks, payload = signature.split(":")
    window, scale = window.split(",")
    seen, distance = ttl.split("+")
    if distance == "?":
        distance = str(rng.choice((0, 5, 36)))
    listed = [quirk for quirk in quirks.split(",") if quirk]
    if rng.random() < 0.4:
        version = "*"
    elif rng.random() < 0.1:
        version = rng.choice("46")
    ttl = rng.choice((f"{seen}+{distance}", f"{seen}+{distance}", str(min(255, int(seen) + int(distance))), f"{rng.randint(1, 255)}", f"{seen}-"))
    if rng.random() < 0.4:
        mss = "*"
    if rng.random() < 0.4:
        scale = "*"
    if rng.random() < 0.3:
        window = rng.choice(("*", "%2", "%8", "%1024", "mss*4", "mss*44", "mtu*4", str(rng.randrange(65536))))
    if rng.random() < 0.3:
        payload = rng.choice("*+0")
    if rng.random() < 0.5:
        for quirk in rng.choices(("df", "id+", "id-", "ecn", "df", "ecn", rng.choice(QUIRKS)), k=rng.randint(1, 2)):
            listed.remove(quirk) if quirk in listed else listed.append(quirk)
    if rng.random() < 0.1:
        rng.shuffle(listed)
    if rng.random() < 0.03:
        olen = rng.choice(("", "12", "4"))
    return f"{version}:{ttl}:{olen}:{mss}:{window},{scale}:{layout}:{','.join(listed)}:{payload}"


def spoiled(rng, text):
    """One slip of the pen.  No digits that add up to more than 32 bits, and nothing that we tolerate knowingly."""
    at = rng.randrange(len(text) + 1)
    what = rng.randrange(4)
    if what == 0:
        text = text[:at] + text[at + 1:]
    elif what == 1:
        text = text[:at] + rng.choice(":,+-*%?@!=[]; 0123456789abcdefnopmsw\xff") + text[at:]
    elif what == 2:
        text = text[:at]
    else:
        text = text[:at] + text[max(0, at - rng.randint(1, 6)):]
    return text.rstrip(" \t\r") or text.strip()


def tcp_section(rng, signatures, count):
    lines = []
    for _ in range(count):
        application = rng.random() < 0.15
        label_class = "!" if application else rng.choice(CLASSES)
        lines.append(f"label = {rng.choice('sssg')}:{label_class}:{rng.choice(NAMES)}:{rng.choice(FLAVORS)}")
        if application:
            lines.append("sys = " + ",".join(rng.sample(("Linux", "@unix", "Windows", "@win", "Other thing"), rng.randint(1, 3))))
        lines += [f"{rng.choice(('sig', 'sig ', 'sig  '))}={rng.choice(('', ' ', '  '))}{near(rng, rng.choice(signatures))}" for _ in range(rng.randint(1, 3))]
    return lines


def mtu_section(rng):
    lines = ["[mtu]"]
    for number in range(6):
        lines.append(f"label = link {number}" + rng.choice(("", " (x)", " \xe9", " \xc3\xa9")))
        lines += [f"sig = {rng.choice((1500, 1440, 1400, 576, 1280, 1492, 1391, rng.randint(1, 65535)))}" for _ in range(rng.randint(1, 2))]
    return lines


HEADERS = ("Host", "User-Agent", "Accept=[,*/*;q=]", "?Accept-Language", "Connection=[keep-alive]", "?Cookie", "Accept", "?Referer=[x]")


def http_section(rng, direction):
    lines = [f"[http:{direction}]"]
    if direction == "request" and rng.random() < 0.7:
        lines.append("ua_os = Linux,Windows,iOS=[iPad],Mac OS X" + rng.choice(("", ", Foo", ",Solaris=[SunOS]", ",")))
    for _ in range(rng.randint(1, 5)):
        lines.append(f"label = {rng.choice('sg')}:{rng.choice(('unix', 'win'))}:{rng.choice(NAMES)}:{rng.choice(FLAVORS)}")
        for _ in range(rng.randint(1, 3)):
            present = rng.sample(HEADERS, rng.randint(0, 4))
            absent = rng.sample(("Via", "Date", "Host", "Keep-Alive"), rng.randint(0, 3))
            lines.append(f"sig = {rng.choice('01*')}:{','.join(present)}:{','.join(absent)}:{rng.choice(('', 'Firefox/', 'Mozilla'))}")
    return lines


def random_database(rng, signatures):
    """Lines.  p0f may refuse some of them."""
    if not signatures:
        signatures = ["4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"]
    sections = [["[tcp:request]"] + tcp_section(rng, signatures, 25), mtu_section(rng),
                ["[tcp:response]"] + tcp_section(rng, signatures, 3), http_section(rng, "request"), http_section(rng, "response")]
    rng.shuffle(sections)
    lines = ["classes = win,unix,other", "; a comment", ""]
    for section in sections:
        lines += section
    for _ in range(rng.choice((0, 1, 3, 8))):
        at = rng.randrange(len(lines))
        if lines[at] and not lines[at].startswith("label"):
            lines[at] = spoiled(rng, lines[at])
    return lines

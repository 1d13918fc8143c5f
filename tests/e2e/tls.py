#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS and mTLS to the server: the Envoy configuration that we ship, who is let in, certificates that change."""

import ssl
import threading

from _examples import *

ADDRESS, TLS_LISTEN, PLAIN_LISTEN = ("127.0.0.1", 9443), "127.0.0.1:9443,tls", "127.0.0.1:9444"
POLICY = """\
version: 1
rules:
  - {id: denied, when: {http.path: {prefix: /denied}}, then: deny}
  - {id: known, then: continue, request_headers: {set: {x-tcp-p0f: "%{p0f}"}}}
default: allow
"""
OURS = "spiffe://cluster.local/ns/synauthz/sa/synauthz"
ENVOYS = "spiffe://cluster.local/ns/ingress/sa/envoy"
ALLOWED = "spiffe://cluster.local/ns/ingress/*"
PKI, SECRETS = "/run/lab/pki", "/run/secrets"
SLOW_CALLS = 30_000
LIVE = "/run/lab/live"  # the folder that a link `..data` points into, as Kubernetes mounts secrets


# ------------------------------------------------------------------------------------------------- certificates


def openssl(*argv):
    return sh("openssl", *argv, cwd=PKI)


def make_ca(name):
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30".split()
    openssl(*options, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt")


def make_certificate(name, san, ca="ca", dates=("-days", "30")):
    options = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split()
    openssl(*options, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    with open(f"{PKI}/{name}.ext", "w") as file:
        file.write(f"subjectAltName={san}\n")
    signing = f"x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -extfile {name}.ext".split()
    openssl(*signing, *dates, "-out", f"{name}.crt")
    for ending in ("crt", "key"):
        os.chmod(f"{PKI}/{name}.{ending}", 0o644)


def make_pki():
    os.mkdir(PKI)
    os.mkdir(SECRETS)
    make_ca("ca")
    make_ca("other-ca")
    for number in range(5):
        make_certificate(f"server-{number}", f"URI:{OURS},DNS:synauthz.test,IP:127.0.0.1")
    make_certificate("envoy", f"URI:{ENVOYS}")
    make_certificate("stranger", "URI:spiffe://cluster.local/ns/other/sa/envoy,DNS:ingress")
    make_certificate("foreign", f"URI:{ENVOYS}", ca="other-ca")
    make_certificate("expired", f"URI:{ENVOYS}", dates=("-days", "0"))
    shutil.copy(f"{PKI}/ca.crt", f"{SECRETS}/ca.crt")


def give_server(number, key=None):
    """New files in a new folder, and one rename that makes them the ones that count."""
    folder = f"{LIVE}/..{time.monotonic_ns()}"
    os.makedirs(folder)
    shutil.copy(f"{PKI}/server-{number}.crt", f"{folder}/tls.crt")
    shutil.copy(f"{PKI}/server-{number if key is None else key}.key", f"{folder}/tls.key")
    shutil.copy(f"{PKI}/ca.crt", f"{folder}/ca.crt")
    os.symlink(folder, f"{LIVE}/..new")
    os.rename(f"{LIVE}/..new", f"{LIVE}/..data")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not os.path.lexists(f"{LIVE}/{name}"):
            os.symlink(f"..data/{name}", f"{LIVE}/{name}")


def give_envoy(name):
    for ending in ("crt", "key"):
        shutil.copy(f"{PKI}/{name}.{ending}", f"{SECRETS}/tls.{ending}")


# ----------------------------------------------------------------------------------------------------- the server


def serve(lab, *options, client_options=("--tls-client-ca", f"{LIVE}/ca.crt", "--tls-client-san", ALLOWED), **more):
    files = ("--tls-cert", f"{LIVE}/tls.crt", "--tls-key", f"{LIVE}/tls.key", *client_options)
    policy = lab.write("policy.yaml", POLICY)
    return lab.serve(
        policy, "--listen", PLAIN_LISTEN, "--admin", "unix:/run/lab/admin", *files, *options, listen=TLS_LISTEN, **more
    )


def run_serve(lab, *options):
    """One that should end by itself: (status, what it said)."""
    done = subprocess.run(
        lab.server.inside(find_synauthz(), "serve", "--policy", lab.write("policy.yaml", POLICY), *options),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return done.returncode, done.stdout


def healthcheck(lab, address, *options):
    done = subprocess.run(
        lab.server.inside(find_synauthz(), "healthcheck", address, "--timeout", "10", *options),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return done.returncode, done.stdout.strip()


def identity(name):
    return ("--tls-cert", f"{PKI}/{name}.crt", "--tls-key", f"{PKI}/{name}.key")


TRUST = ("--tls-ca", f"{SECRETS}/ca.crt")


def tls_context(name=None):
    context = ssl.create_default_context(cafile=f"{SECRETS}/ca.crt")
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    if name:
        context.load_cert_chain(f"{PKI}/{name}.crt", f"{PKI}/{name}.key")
    return context


def tls_connect(lab, name=None):
    with lab.server.entered():
        plain = socket.create_connection(ADDRESS, timeout=10)
    return tls_context(name).wrap_socket(plain)


def served_serial(lab):
    with tls_connect(lab, "envoy") as connection:
        return int(connection.getpeercert()["serialNumber"], 16)


def serial_of(number):
    return int(openssl("x509", "-in", f"server-{number}.crt", "-noout", "-serial").split("=")[1], 16)


def reloads(lab, result):
    return metric(lab, "synauthz_tls_reloads_total", result=result)


# ------------------------------------------------------------------------------------------------------- the cases


def through_envoy(cases, lab):
    """allow and deny, with the configuration that we ship"""
    give_envoy("envoy")
    server = serve(lab)
    envoy = lab.start_envoy(config="tls.yaml")
    connection = Connection(lab)
    wait_until(lambda: connection.get().status == 200, 20, "an answer through TLS")
    replies = [connection.get() for _ in range(20)]
    cases.check("TLS: allowed, with a fingerprint", all(len(r.upstream("x-tcp-p0f")) == 1 for r in replies), replies[0])
    cases.equal("TLS: denied", connection.get("/denied").status, 403)
    cases.check("handshakes are counted", metric(lab, "synauthz_tls_handshakes_total", result="ok") >= 1)
    for name, why in (
        ("stranger", "its certificate has no allowed name, but "),
        ("foreign", "its certificate: "),
        ("expired", "its certificate: certificate has expired"),
    ):
        envoy.stop()
        give_envoy(name)
        envoy = lab.start_envoy(config="tls.yaml")
        cases.equal(f"mTLS: an Envoy whose certificate is {name} gets no answer", Connection(lab).get().status, 503)
        wait_until(lambda: f"refused: {why}" in server.output(), 20, f"`{why}` in the log")
        cases.check(f"mTLS: {name}: the log says why", True)
    give_envoy("envoy")
    envoy.stop()
    cases.equal("the server ends", server.stop(), 0)


def who_is_let_in(cases, lab):
    """the same and more, by our own client"""
    server = serve(lab, "--source", "none")
    for what, options, status in (
        ("the right name", identity("envoy"), 0),
        ("another name", identity("stranger"), 4),
        ("another CA", identity("foreign"), 4),
        ("no certificate", (), 4),
    ):
        got = healthcheck(lab, TLS_LISTEN, *TRUST, *options)
        cases.check(f"healthcheck, {what}", got[0] == status, got)
    got = healthcheck(lab, TLS_LISTEN, *TRUST, *identity("envoy"), "--tls-server-name", "synauthz.test")
    cases.equal("healthcheck: the server's name", got[0], 0)
    got = healthcheck(lab, TLS_LISTEN, *TRUST, *identity("envoy"), "--tls-server-name", "elsewhere.test")
    cases.equal("healthcheck: another name", got, (4, "not serving: no TLS: its certificate: hostname mismatch"))
    got = healthcheck(lab, TLS_LISTEN, "--tls-ca", f"{PKI}/other-ca.crt", *identity("envoy"))
    cases.check("healthcheck: signed by somebody else", got[0] == 4 and "no TLS: its certificate" in got[1], got)

    got = healthcheck(lab, TLS_LISTEN)
    cases.check("healthcheck: nobody to trust", got[0] == 2 and "needs --tls-ca FILE" in got[1], got)

    cases.equal("plaintext to a TLS port", healthcheck(lab, TLS_LISTEN.removesuffix(",tls"))[0], 4)
    cases.equal("TLS to a plaintext port", healthcheck(lab, PLAIN_LISTEN + ",tls", *TRUST)[0], 4)
    cases.equal("plaintext to a plaintext port beside it", healthcheck(lab, PLAIN_LISTEN), (0, "serving"))
    cases.equal("nobody was hurt", healthcheck(lab, TLS_LISTEN, *TRUST, *identity("envoy")), (0, "serving"))
    cases.check("refused handshakes are counted", metric(lab, "synauthz_tls_handshakes_total", result="refused") >= 6)

    status, output = run_serve(lab, "--source", "none", "--listen", TLS_LISTEN, *server_files())
    cases.check("a second instance is refused", status == 1 and "Address already in use" in output, (status, output))
    cases.equal("the server ends", server.stop(), 0)

    server = serve(lab, "--source", "none", client_options=())
    cases.equal("without --tls-client-ca nobody needs a certificate", healthcheck(lab, TLS_LISTEN, *TRUST)[0], 0)
    cases.equal("the server ends", server.stop(), 0)
    server = lab.serve(lab.write("policy.yaml", POLICY), "--source", "none", *server_files(), listen="127.0.0.1:443,tls")
    cases.equal("a privileged port", healthcheck(lab, "127.0.0.1:443,tls", *TRUST)[0], 0)
    server.stop()


def server_files():
    return ("--tls-cert", f"{LIVE}/tls.crt", "--tls-key", f"{LIVE}/tls.key")


def wrong_files(cases, lab):
    """what is wrong is said before anything is listened on"""
    secret = f"{PKI}/secret.key"
    shutil.copy(f"{PKI}/server-0.key", secret)
    os.chmod(secret, 0o600)
    certificate = f"{PKI}/server-0.crt"
    for what, options, status, said in (
        ("no certificate", (), 2, "--tls-cert FILE is missing"),
        ("no key", ("--tls-cert", certificate), 2, "--tls-key FILE is missing"),
        ("another's key", ("--tls-cert", certificate, "--tls-key", f"{PKI}/envoy.key"), 3, "the key does not belong"),
        ("root's key", ("--tls-cert", certificate, "--tls-key", secret), 3, "user 65534, as whom it serves, may not"),
        ("no such file", ("--tls-cert", "/no/such", "--tls-key", certificate), 3, "/no/such: cannot read the file"),
        ("an old one", ("--tls-cert", f"{PKI}/expired.crt", "--tls-key", f"{PKI}/expired.key"), 3, "has expired"),
    ):
        got = run_serve(lab, "--source", "none", "--listen", TLS_LISTEN, *options)
        cases.check(f"refused: {what}", got[0] == status and said in got[1], got)


class Load:
    """Requests one after the other, each on a new connection, by some threads until stop()."""

    def __init__(self, lab, threads=4):
        self.lab, self.answered, self.failed = lab, 0, []
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.ended.is_set():
            try:
                connection = Connection(self.lab)
                status = connection.get().status
                connection.close()
            except (OSError, LabError, http.client.HTTPException) as error:
                status = repr(error)
            with self.lock:
                if status == 200:
                    self.answered += 1
                else:
                    self.failed.append(status)
            time.sleep(0.005)

    def more(self, count):
        """Waits for so many answers more."""
        goal = self.answered + count
        wait_until(lambda: self.answered >= goal, 60, "answers")

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


def rotating():
    """The example with few requests on each connection, and with time for a machine that is busy."""
    with open(os.path.join(HERE, "tls.yaml")) as file:
        text = file.read()
    http2 = "explicit_http_config: {http2_protocol_options: {}}"
    few = "common_http_protocol_options: {max_requests_per_connection: 3}"
    for old, new in (
        (http2, f"{few}\n          {http2}"),
        (" timeout: 0.25s", " timeout: 10s"),
        ("max_interval: 0.25s", "max_interval: 10s"),
        ("connect_timeout: 1s", "connect_timeout: 5s"),
    ):
        if old not in text:
            raise LabError(f"tls.yaml has no `{old}`")
        text = text.replace(old, new)
    return text


def rotation(cases, lab):
    """Envoy makes a new TLS connection for every few requests, so that certificates are used while they change."""
    give_server(0)
    give_envoy("envoy")
    server = serve(lab, "--source", "none", "--threads", "2")
    config = lab.write("rotation.yaml", rotating())
    envoy = lab.start_envoy(config=config)
    wait_until(lambda: Connection(lab).get().status == 200, 20, "an answer through TLS")
    load = Load(lab)
    load.more(50)
    for number in (1, 2, 3):
        before = reloads(lab, "ok")
        give_server(number)
        wait_until(lambda: reloads(lab, "ok") == before + 1, 30, "the new certificate")
        cases.equal(f"rotation {number}: new connections get the new one", served_serial(lab), serial_of(number))
        load.more(50)
    cases.check("the log says until when it is good", "certificates reloaded, valid until 20" in server.output())

    give_server(4, key=0)  # a key that is not its own
    wait_until(lambda: reloads(lab, "failed") == 1, 30, "the broken certificate to be seen")
    cases.check("broken: the log says what is wrong", "the last good ones stay: " in server.output(), server.output())
    cases.equal("broken: the last good one stays", served_serial(lab), serial_of(3))
    load.more(50)
    time.sleep(2.5)
    cases.equal("broken: it is tried once", reloads(lab, "failed"), 1)
    server.send(signal.SIGHUP)
    wait_until(lambda: reloads(lab, "failed") == 2, 30, "SIGHUP to try again")
    before = reloads(lab, "ok")
    give_server(4)
    server.send(signal.SIGHUP)
    wait_until(lambda: reloads(lab, "ok") > before, 30, "SIGHUP to read the good one")
    cases.equal("SIGHUP: the new one is served", served_serial(lab), serial_of(4))
    load.more(50)
    load.stop()
    cases.check("no request fails while certificates change", not load.failed, (len(load.failed), load.failed[:3]))
    handshakes = metric(lab, "synauthz_tls_handshakes_total", result="ok")
    cases.check("there were many handshakes meanwhile", handshakes > 50, handshakes)
    print(f"        {load.answered} requests, {handshakes:.0f} handshakes")
    envoy.stop()
    cases.equal("the server ends", server.stop(), 0)


# A health check, and nothing that needs HPACK's tables: literal headers without indexing.
def h2_frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def h2_call(stream, path=b"/grpc.health.v1.Health/Check"):
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", path),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    block = b"".join(b"\0" + bytes([len(n)]) + n + bytes([len(v)]) + v for n, v in fields)
    return h2_frame(1, 4, stream, block) + h2_frame(0, 1, stream, bytes(5))


def slow_reader(cases, lab):
    """A client with a good certificate that asks and asks, and never reads: it holds up nobody for long."""
    server = serve(lab, "--source", "none")
    connection = tls_connect(lab, "envoy")
    connection.settimeout(5)
    asked = 0
    try:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0))
        for stream in range(1, 2 * SLOW_CALLS, 2):  # more than its flow control window takes replies of
            connection.sendall(h2_call(stream))
            asked += 1
    except OSError:
        pass  # it was cut for it, or is held back
    serving = lambda: healthcheck(lab, TLS_LISTEN, *TRUST, *identity("envoy")) == (0, "serving")
    wait_until(serving, 60, "an answer for another client")
    cases.check("others are answered while a client asks and does not read", asked > 100, asked)
    begun = time.monotonic()
    cases.equal("the server ends though a client does not read", server.stop(seconds=60), 0)
    print(f"        {asked} calls; ended after {time.monotonic() - begun:.1f} s")
    connection.close()


def silent(cases, lab):
    """Clients that connect and say nothing, or nothing good, more than there are descriptors for."""
    limited = ("prlimit", "--nofile=256:256")
    policy = lab.write("policy.yaml", POLICY)
    options = ("--source", "none", "--listen", TLS_LISTEN, "--admin", "unix:/run/lab/admin", *server_files())
    server = lab.start("synauthz", *limited, find_synauthz(), "serve", "--policy", policy, *options).wait_for("ready")
    sockets = []
    with lab.server.entered():
        for number in range(600):
            sockets.append(socket.create_connection(ADDRESS, timeout=10))
            if number % 3 == 0:
                sockets[-1].send(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a handshake
    refused = lambda: metric(lab, "synauthz_tls_handshakes_total", result="refused")
    wait_until(lambda: refused() > 100, 60, "handshakes to be given up")
    cases.check("who says nothing gives way", "too many handshakes at once" in server.output(), server.output())
    serving = lambda: healthcheck(lab, TLS_LISTEN, *TRUST) == (0, "serving")
    wait_until(serving, 60, "an answer")
    cases.check("others are answered then", True)
    for each in sockets:
        each.close()
    cases.equal("the server ends", server.stop(), 0)


def main(cases):
    make_pki()
    lab = Lab()
    lab.start_upstream()
    give_server(0)
    wrong_files(cases, lab)
    who_is_let_in(cases, lab)
    through_envoy(cases, lab)
    rotation(cases, lab)
    slow_reader(cases, lab)
    silent(cases, lab)


run_cases(main)

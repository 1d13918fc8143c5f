# SPDX-License-Identifier: Apache-2.0
"""35, 36: the network filter, and shadow mode."""

import ssl

from _client import Http1
from _envoy import HTTP_AUTHZ, TCP_AUTHZ, Http, Tcp
from _scenario import port_of, scenario
from _tls import client_context, server_transport

REQUEST = b"GET /s%d HTTP/1.1\r\nhost: x\r\n\r\n"


def answered(client):
    client.send(REQUEST % 35)
    return client.response().status


DENIED = [port_of(35, index) for index in (1, 3, 4)]  # of the listeners below


@scenario(
    35,
    "Network filter: plain and TLS, allowed and denied",
    {
        "plain": Tcp(),
        "plain-denied": Tcp(),
        "tls": Tcp(transport=server_transport(), authz={"include_tls_session": True}),
        "tls-denied": Tcp(transport=server_transport()),
        "tls-alert": Tcp(transport=server_transport(), authz={"send_tls_alert_on_denial": True}),
    },
    rules=f"""\
  - id: s35-denied
    when: {{http.method: {{present: false}}, destination.port: {DENIED}}}
    then: deny
""",
)
def network_filter(t):
    """a Check without `request` is answered; allowed, octets pass; denied, the connection closes, with an alert if
    asked for"""
    client = Http1(t.connect("plain"))
    t.equal("plain, allowed", answered(client), 200)
    t.equal("a second request needs no second Check", answered(client), 200)
    client.close()
    call = t.calls(1, "plain")[0]
    t.check("no `request`", "request" not in call.attributes, call.attributes)
    t.check("the client's address", call.attributes["source"]["address"]["socket_address"]["port_value"] > 0, call)
    t.equal("in the access log", (t.world.log.nth(t.name("plain"), 0)["metadata"] or {}).get("verdict"), "allow")

    client = Http1(t.connect("plain-denied"))
    client.send(REQUEST % 35)
    t.check("plain, denied: closed", client.at_end(), "open")
    client.close()
    log = t.world.log.nth(t.name("plain-denied"), 0)
    t.equal("metadata of the denial", (log["metadata"] or {}).get("rule"), "s35-denied")
    t.equal("flags", log["flags"], "UAEX")

    client = Http1(client_context().wrap_socket(t.connect("tls"), server_hostname="lab.test"))
    t.equal("TLS, allowed", answered(client), 200)
    client.close()
    attributes = t.calls(1, "tls")[0].attributes
    t.equal("name asked for by TLS", attributes.get("tls_session", {}).get("sni"), "lab.test")

    t.equal("TLS, denied: alert", alert_after_denial(t, "tls-denied"), None)
    t.equal("TLS, denied with an alert", alert_after_denial(t, "tls-alert"), "TLSV1_ALERT_ACCESS_DENIED")
    t.equal("arrived at the upstream", len(t.upstream.arrived("/s35")), 3)


def alert_after_denial(t, listener):
    """The TLS alert that ends a connection, None if it ends without one."""
    sock = client_context().wrap_socket(t.connect(listener), server_hostname="lab.test")
    sock.settimeout(30)
    try:
        sock.sendall(REQUEST % 35)
        t.equal(f"{listener}: closed", sock.recv(100), b"")
        return None
    except ssl.SSLError as error:
        return error.reason
    except ConnectionResetError:
        return None
    finally:
        sock.close()


# The filter state's name, as measured: the HTTP filter's has a suffix, the network filter's has none.
HTTP_SHADOW = {"shadow": f"%FILTER_STATE({HTTP_AUTHZ}.shadow)%"}
TCP_SHADOW = {"shadow": f"%FILTER_STATE({TCP_AUTHZ})%"}


@scenario(
    36,
    "Shadow mode",
    {
        "main": Http(authz={"shadow_mode": True}, log=HTTP_SHADOW),
        "network": Tcp(authz={"shadow_mode": True}, log=TCP_SHADOW, since="1.40"),
    },
    rules=f"""\
  - id: s36
    when: {{http.path: {{prefix: /s36/deny}}}}
    then: deny
    respond: {{status: 429, headers: {{x-why: "%{{rule}}"}}}}
  - id: s36-network
    when: {{http.method: {{present: false}}, destination.port: {port_of(36, 1)}}}
    then: deny
""",
    needs=("1.38", "shadow_mode"),
)
def shadow_mode(t):
    """nothing is blocked; what would have been decided is in the filter state"""
    denied, allowed = t.get("/deny"), t.get()
    t.equal("a denial", denied.status, 200)
    shadow = t.log(denied)["shadow"] or {}
    t.equal("in the filter state", (shadow.get("check_result"), shadow.get("status_code")), ("DENIED", 429))
    t.equal("allowed", allowed.status, 200)
    t.check("and it is none", (t.log(allowed)["shadow"] or {}).get("check_result") != "DENIED", t.log(allowed))
    client = Http1(t.connect("network"))
    client.send(REQUEST % 36)
    t.equal("network filter, a denial", client.response().status, 200)
    client.close()
    log = t.world.log.nth(t.name("network"), 0)
    t.equal("in the connection's filter state", (log["shadow"] or {}).get("check_result"), "DENIED")
    t.equal("verdict in the metadata", (log["metadata"] or {}).get("verdict"), "deny")

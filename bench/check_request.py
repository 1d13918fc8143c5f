# SPDX-License-Identifier: Apache-2.0
"""The CheckRequest that the bench sends: field for field what Envoy 1.40's HTTP filter puts into one for a browser's GET
with 15 headers, about 1,160 bytes, framed for gRPC.  Written by hand: the encoding is small and needs no library."""
import struct

HEADERS = [
    (":authority", "shop.example.test"),
    (":method", "GET"),
    (":path", "/catalog/items/4711?lang=en&sort=price"),
    (":scheme", "https"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9,de;q=0.7"),
    ("cookie", "session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0NzExIiwiZXhwIjoxNzk1Mjc2ODAwLCJyb2xlIjoic2hvcHBlciJ9."
     "Jw0y3mY8b2m1c4xg6o5kq7r9t1v3x5z7; theme=dark; consent=all-2026-03; basket=7c9e6679-7425-40de-944b-e07fc1f90ae7; _ga=GA1.1.1442217.1795;"
     " recent=4711-4712-0815-1337-2001-3141-2718-1618; exp=new-checkout:b,search-v3:a,hero:c; tz=Europe%2FBerlin"),
    ("referer", "https://shop.example.test/catalog?lang=en"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-mode", "navigate"),
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-request-id", "5f2c9a1e-3b7d-4c55-9d0e-1f6a7b8c9d0e"),
]
PATH = "/envoy.service.auth.v3.Authorization/Check"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def text(field, value):
    data = value if isinstance(value, bytes) else value.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data


def peer(address, *more):
    ip, port = address
    return text(1, text(1, text(2, ip) + number(3, port))) + b"".join(more)


def check_request(source, destination):
    """`source`, `destination`: (ip, port) of the client's TCP connection.  Returns the protobuf message."""
    headers = dict(HEADERS)
    http = (text(1, "1443217095811312840") + text(2, headers[":method"])
            + b"".join(text(3, text(1, k) + text(2, v)) for k, v in HEADERS)
            + text(4, headers[":path"]) + text(5, headers[":authority"]) + text(6, headers[":scheme"])
            + text(10, "HTTP/2"))
    started = number(1, 1795273200) + number(2, 123456000)
    attributes = (text(1, peer(source)) + text(2, peer(destination, text(3, text(1, "app") + text(2, "gateway"))))
                  + text(4, text(1, started) + text(2, http)) + text(11, b"") + text(13, b""))
    return text(1, attributes)


def grpc_frame(message):
    return struct.pack(">BI", 0, len(message)) + message

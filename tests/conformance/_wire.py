# SPDX-License-Identifier: Apache-2.0
"""CheckRequest and CheckResponse on the wire, written down from Envoy's documentation and not from synauthz's sources:
the suite is to judge those.

A message is a dictionary.  Strings must be UTF-8, as proto3 says and Envoy insists; what has a number that is not in
the tables is kept under "?NUMBER".

>>> encode("CheckResponse", {"status": {"code": 14}, "error_response": {"status": {"code": 503}}}).hex()
'0a02080e2a050a0308f703'
>>> decode("CheckResponse", bytes.fromhex("0a02080e2a050a0308f703"))
{'status': {'code': 14}, 'error_response': {'status': {'code': 503}}}
"""

import struct

# field, number, type; `*` repeated, `{}` a map from strings.
TABLES = """
CheckRequest: attributes 1 AttributeContext
AttributeContext: source 1 Peer; destination 2 Peer; request 4 Request; context_extensions 10 {}string;
    metadata_context 11 Metadata; tls_session 12 TLSSession; route_metadata_context 13 Metadata
Peer: address 1 Address; service 2 string; labels 3 {}string; principal 4 string; certificate 5 string
Address: socket_address 1 SocketAddress; pipe 2 Pipe; envoy_internal_address 3 EnvoyInternalAddress
SocketAddress: protocol 1 int; address 2 string; port_value 3 int; network_namespace_filepath 7 string
Pipe: path 1 string; mode 2 int
EnvoyInternalAddress: server_listener_name 1 string; endpoint_id 2 string
Request: time 1 Timestamp; http 2 HttpRequest
Timestamp: seconds 1 int; nanos 2 int
HttpRequest: id 1 string; method 2 string; headers 3 {}string; path 4 string; host 5 string; scheme 6 string;
    query 7 string; fragment 8 string; size 9 int; protocol 10 string; body 11 string; raw_body 12 bytes;
    header_map 13 HeaderMap
HeaderMap: headers 1 *HeaderValue
HeaderValue: key 1 string; value 2 string; raw_value 3 bytes
TLSSession: sni 1 string
Metadata: filter_metadata 1 {}Struct; typed_filter_metadata 2 {}Any
Any: type_url 1 string; value 2 bytes
Struct: fields 1 {}Value
Value: null_value 1 int; number_value 2 double; string_value 3 string; bool_value 4 int; struct_value 5 Struct;
    list_value 6 ListValue
ListValue: values 1 *Value
CheckResponse: status 1 Status; denied_response 2 Denied; ok_response 3 Ok; dynamic_metadata 4 Struct;
    error_response 5 Denied
Status: code 1 int; message 2 string; details 3 *Any
Denied: status 1 HttpStatus; headers 2 *HeaderValueOption; body 3 string
HttpStatus: code 1 int
Ok: headers 2 *HeaderValueOption; dynamic_metadata 3 Struct; headers_to_remove 5 *string;
    response_headers_to_add 6 *HeaderValueOption; query_parameters_to_set 7 *QueryParameter;
    query_parameters_to_remove 8 *string
HeaderValueOption: header 1 HeaderValue; append 2 BoolValue; append_action 3 int; keep_empty_value 4 int
BoolValue: value 1 int
QueryParameter: key 1 string; value 2 string
"""


def _read_tables(text):
    messages = {}
    for line in text.replace("\n    ", " ").strip().splitlines():
        name, fields = line.split(":")
        messages[name] = {}
        for field in fields.split(";"):
            label, number, kind = field.split()
            messages[name][int(number)] = (label, kind)
    for name in [kind[2:] for fields in messages.values() for _, kind in fields.values() if kind.startswith("{}")]:
        messages["{}" + name] = {1: ("key", "string"), 2: ("value", name)}
    return messages


MESSAGES = _read_tables(TABLES)
NUMBERS = {name: {label: (number, kind) for number, (label, kind) in m.items()} for name, m in MESSAGES.items()}
WIRE_TYPES = {"int": 0, "double": 1}  # all else has a length


def _varint(value):
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("a number that is cut short")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _fields(data):
    """(number, wire type, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at : at + size], at + size
        elif kind == 2:
            size, at = _read_varint(data, at)
            if at + size > len(data):
                raise ValueError(f"a field of {size} bytes in a message that has {len(data) - at} more")
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {kind}")
        yield tag >> 3, kind, value


def _value(kind, value):
    if kind == "int":
        return value - 2**64 if value >= 2**63 else value
    if kind == "double":
        return struct.unpack("<d", value)[0]
    if kind == "string":
        return bytes(value).decode("utf-8")
    if kind == "bytes":
        return bytes(value)
    return decode(kind, value)


def decode(message, data):
    """The message of that name.  Raises ValueError for what is none."""
    found = {}
    for number, wire, value in _fields(data):
        label, kind = MESSAGES[message].get(number, (f"?{number}", None))
        if kind is None:
            found.setdefault(label, []).append(value)
            continue
        plain = kind.lstrip("*")
        if wire != WIRE_TYPES.get(plain, 2):
            raise ValueError(f"{message}.{label} has wire type {wire}")
        if kind.startswith("{}"):
            entry = decode(kind, value)
            found.setdefault(label, {})[entry.get("key", "")] = entry.get("value", "" if kind == "{}string" else {})
        elif kind.startswith("*"):
            found.setdefault(label, []).append(_value(plain, value))
        else:
            found[label] = _value(kind, value)
    return found


def _field(number, kind, value):
    if kind == "int":
        return _varint(number << 3) + _varint(int(value))
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if kind == "string":
        value = value.encode() if isinstance(value, str) else value  # bytes: what no proto3 string may hold
    elif kind != "bytes":
        value = encode(kind, value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def encode(message, value):
    """Its bytes, fields in the order of the dictionary; a value that is bytes already is taken as it is."""
    if isinstance(value, bytes):
        return value
    out = b""
    for label, content in value.items():
        number, kind = NUMBERS[message][label]
        if kind.startswith("{}"):
            entries = [{"key": key, "value": item} for key, item in content.items()]
            out += b"".join(_field(number, kind, entry) for entry in entries)
        elif kind.startswith("*"):
            out += b"".join(_field(number, kind[1:], item) for item in content)
        else:
            out += _field(number, kind, content)
    return out


def header(name, value, **option):
    """A HeaderValueOption."""
    return {"header": {"key": name, "value": value}, **option}


def plain(value):
    """A google.protobuf.Struct, as decoded, as what it stands for."""
    return {key: _plain_value(item) for key, item in value.get("fields", {}).items()}


def _plain_value(value):
    if "struct_value" in value:
        return plain(value["struct_value"])
    if "list_value" in value:
        return [_plain_value(item) for item in value["list_value"].get("values", [])]
    for key in ("number_value", "string_value"):
        if key in value:
            return value[key]
    return bool(value["bool_value"]) if "bool_value" in value else None


def frame(message):
    """A message as gRPC puts it on a stream."""
    return b"\0" + struct.pack("!I", len(message)) + message


def unframe(data):
    """The one message of a stream, or None if the stream has none."""
    if len(data) < 5 or data[0] or struct.unpack("!I", data[1:5])[0] != len(data) - 5:
        return None
    return bytes(data[5:])

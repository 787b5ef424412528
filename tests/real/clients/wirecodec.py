"""The Kafka protocol written out by hand: messages as one-line schemas, record batches, and a socket.

A schema is `name:type` words; a type is i8 i16 i32 i64 u16 f64 bool s (string) ns (string or null) nb (bytes or null) uuid,
or fields in brackets for an array of structures, or a type in brackets for an array of values; fields in parentheses are a
structure, in braces one that may be null.
"""

import gzip
import re
import socket
import struct
import uuid

FIXED = {"i8": ">b", "i16": ">h", "i32": ">i", "i64": ">q", "u16": ">H", "f64": ">d", "bool": ">?"}


def parse(text):
    """The fields of a schema: [(name, type)]; an array's type is a list."""
    words = re.findall(r"[\[\](){}]|[\w:]+", text)

    def fields():
        found = []
        while words and words[0] not in "])}":
            name, _, kind = words.pop(0).partition(":")
            if kind:
                found.append((name, kind))
            elif words and words[0] == "[":
                words.pop(0)
                found.append((name, fields()))
                words.pop(0)
            elif words and words[0] in "({":
                opened = words.pop(0)
                found.append((name, (opened == "{", fields())))
                words.pop(0)
            else:
                found.append((None, name))
        return found
    return fields()


class Out:
    def __init__(self, flexible):
        self.flexible, self.data = flexible, bytearray()

    def varint(self, n):
        while n > 0x7F:
            self.data.append(n & 0x7F | 0x80)
            n >>= 7
        self.data.append(n)

    def sized(self, value, width):
        raw = value.encode() if isinstance(value, str) else value
        if self.flexible:
            self.varint(0 if raw is None else len(raw) + 1)
        else:
            self.data += struct.pack(width, -1 if raw is None else len(raw))
        self.data += raw or b""

    def value(self, kind, value):
        if isinstance(kind, list):
            if self.flexible:
                self.varint(0 if value is None else len(value) + 1)
            else:
                self.data += struct.pack(">i", -1 if value is None else len(value))
            for item in value or []:
                if kind[0][0] is None:
                    self.value(kind[0][1], item)
                else:
                    self.fields(kind, item)
        elif kind in FIXED:
            self.data += struct.pack(FIXED[kind], value)
        elif kind == "uuid":
            self.data += value
        else:
            self.sized(value, ">h" if kind in ("s", "ns") else ">i")

    def fields(self, fields, values):
        if not isinstance(values, dict):
            values = dict(zip((name for name, _ in fields), values))
        for name, kind in fields:
            self.value(kind, values[name])
        if self.flexible:
            self.varint(0)


class In:
    def __init__(self, data, flexible):
        self.data, self.at, self.flexible, self.tagged = data, 0, flexible, {}

    def take(self, n):
        if self.at + n > len(self.data):
            raise EOFError("the answer ends early")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def length(self, width):
        return self.varint() - 1 if self.flexible else struct.unpack(width, self.take(struct.calcsize(width)))[0]

    def value(self, kind):
        if isinstance(kind, list):
            n = self.length(">i")
            return None if n < 0 else [self.value(kind[0][1]) if kind[0][0] is None else self.fields(kind) for _ in range(n)]
        if isinstance(kind, tuple):
            nullable, fields = kind
            return None if nullable and self.value("i8") < 0 else self.fields(fields)
        if kind in FIXED:
            return struct.unpack(FIXED[kind], self.take(struct.calcsize(FIXED[kind])))[0]
        if kind == "uuid":
            return uuid.UUID(bytes=bytes(self.take(16)))
        n = self.length(">h" if kind in ("s", "ns") else ">i")
        if n < 0:
            return None
        raw = bytes(self.take(n))
        return raw.decode() if kind in ("s", "ns") else raw

    def fields(self, fields):
        values = {name: self.value(kind) for name, kind in fields}
        if self.flexible:
            for _ in range(self.varint()):
                tag = self.varint()
                values.setdefault("tags", {})[tag] = bytes(self.take(self.varint()))
        return values


def encode(schema, *values):
    """Bytes of a structure that is no message, such as a member's subscription."""
    out = Out(False)
    out.fields(parse(schema), values)
    return bytes(out.data)


def decode(schema, data):
    """The structure's fields, and what is left after them."""
    found = In(data, False)
    return found.fields(parse(schema)), data[found.at:]


# name: (key, version, flexible, request, response)
MESSAGES = {
    "Produce": (0, 8, False, "txn:ns acks:i16 timeout:i32 topics [name:s partitions [index:i32 records:nb]]",
                "topics [name:s partitions [index:i32 error:i16 base:i64 time:i64 start:i64 record_errors [at:i32 message:ns] message:ns]] throttle:i32"),
    "Fetch": (1, 11, False, "replica:i32 wait:i32 min:i32 max:i32 isolation:i8 session:i32 epoch:i32 topics [name:s partitions "
                            "[index:i32 leader_epoch:i32 offset:i64 start:i64 max:i32]] forgotten [name:s partitions [i32]] rack:s",
              "throttle:i32 error:i16 session:i32 topics [name:s partitions [index:i32 error:i16 high:i64 stable:i64 start:i64 "
              "aborted [producer:i64 first:i64] preferred:i32 records:nb]]"),
    "ListOffsets": (2, 7, True, "replica:i32 isolation:i8 topics [name:s partitions [index:i32 leader_epoch:i32 time:i64]]",
                    "throttle:i32 topics [name:s partitions [index:i32 error:i16 time:i64 offset:i64 leader_epoch:i32]]"),
    "ListOffsets9": (2, 9, True, "replica:i32 isolation:i8 topics [name:s partitions [index:i32 leader_epoch:i32 time:i64]]",
                     "throttle:i32 topics [name:s partitions [index:i32 error:i16 time:i64 offset:i64 leader_epoch:i32]]"),
    "ListOffsets10": (2, 10, True, "replica:i32 isolation:i8 topics [name:s partitions [index:i32 leader_epoch:i32 time:i64]] timeout:i32",
                      "throttle:i32 topics [name:s partitions [index:i32 error:i16 time:i64 offset:i64 leader_epoch:i32]]"),
    "SaslHandshake": (17, 1, False, "mechanism:s", "error:i16 mechanisms [s]"),
    "SaslHandshake0": (17, 0, False, "mechanism:s", "error:i16 mechanisms [s]"),
    "ApiVersions": (18, 4, True, "name:s version:s", "error:i16 keys [key:i16 min:i16 max:i16] throttle:i32"),
    "ApiVersions3": (18, 3, True, "name:s version:s", "error:i16 keys [key:i16 min:i16 max:i16] throttle:i32"),
    "ApiVersions0": (18, 0, False, "", "error:i16 keys [key:i16 min:i16 max:i16]"),
    "CreateTopics": (19, 7, True, "topics [name:s partitions:i32 replicas:i16 assignments [index:i32 brokers [i32]] configs [name:s value:ns]] "
                                  "timeout:i32 dry:bool",
                     "throttle:i32 topics [name:s id:uuid error:i16 message:ns partitions:i32 replicas:i16 "
                     "configs [name:s value:ns read_only:bool source:i8 sensitive:bool]]"),
    "CreateTopics2": (19, 2, False, "topics [name:s partitions:i32 replicas:i16 assignments [index:i32 brokers [i32]] configs [name:s value:ns]] "
                                    "timeout:i32 dry:bool", "throttle:i32 topics [name:s error:i16 message:ns]"),
    "DeleteTopics": (20, 6, True, "topics [name:ns id:uuid] timeout:i32", "throttle:i32 topics [name:ns id:uuid error:i16 message:ns]"),
    "DeleteTopics4": (20, 4, True, "topics [s] timeout:i32", "throttle:i32 topics [name:s error:i16]"),
    "DeleteRecords": (21, 2, True, "topics [name:s partitions [index:i32 offset:i64]] timeout:i32",
                      "throttle:i32 topics [name:s partitions [index:i32 low:i64 error:i16]]"),
    "DescribeAcls": (29, 3, True, "kind:i8 name:ns pattern:i8 principal:ns host:ns operation:i8 permission:i8",
                     "throttle:i32 error:i16 message:ns resources [kind:i8 name:s pattern:i8 acls [principal:s host:s operation:i8 permission:i8]]"),
    "CreateAcls": (30, 3, True, "creations [kind:i8 name:s pattern:i8 principal:s host:s operation:i8 permission:i8]",
                   "throttle:i32 results [error:i16 message:ns]"),
    "DeleteAcls": (31, 3, True, "filters [kind:i8 name:ns pattern:i8 principal:ns host:ns operation:i8 permission:i8]",
                   "throttle:i32 results [error:i16 message:ns matching [error:i16 message:ns kind:i8 name:s pattern:i8 principal:s host:s "
                   "operation:i8 permission:i8]]"),
    "DescribeConfigs": (32, 4, True, "resources [kind:i8 name:s keys [s]] synonyms:bool docs:bool",
                        "throttle:i32 results [error:i16 message:ns kind:i8 name:s configs [name:s value:ns read_only:bool source:i8 "
                        "sensitive:bool synonyms [name:s value:ns source:i8] type:i8 docs:ns]]"),
    "DescribeConfigs1": (32, 1, False, "resources [kind:i8 name:s keys [s]] synonyms:bool",
                         "throttle:i32 results [error:i16 message:ns kind:i8 name:s configs [name:s value:ns read_only:bool source:i8 "
                         "sensitive:bool synonyms [name:s value:ns source:i8]]]"),
    "DescribeConfigs3": (32, 3, False, "resources [kind:i8 name:s keys [s]] synonyms:bool docs:bool",
                         "throttle:i32 results [error:i16 message:ns kind:i8 name:s configs [name:s value:ns read_only:bool source:i8 "
                         "sensitive:bool synonyms [name:s value:ns source:i8] type:i8 docs:ns]]"),
    "AlterConfigs": (33, 2, True, "resources [kind:i8 name:s configs [name:s value:ns]] dry:bool",
                     "throttle:i32 results [error:i16 message:ns kind:i8 name:s]"),
    "AlterReplicaLogDirs": (34, 2, True, "dirs [path:s topics [name:s partitions [i32]]]", "throttle:i32 results [name:s partitions [index:i32 error:i16]]"),
    "DescribeLogDirs": (35, 4, True, "topics [name:s partitions [i32]]",
                        "throttle:i32 error:i16 dirs [error:i16 dir:s topics [name:s partitions [index:i32 size:i64 lag:i64 future:bool]] total:i64 usable:i64]"),
    "DescribeLogDirs1": (35, 1, False, "topics [name:s partitions [i32]]",
                         "throttle:i32 dirs [error:i16 dir:s topics [name:s partitions [index:i32 size:i64 lag:i64 future:bool]]]"),
    "SaslAuthenticate": (36, 2, True, "bytes:nb", "error:i16 message:ns bytes:nb session:i64"),
    "CreatePartitions": (37, 3, True, "topics [name:s count:i32 assignments [brokers [i32]]] timeout:i32 dry:bool",
                         "throttle:i32 results [name:s error:i16 message:ns]"),
    "CreateDelegationToken": (38, 3, True, "owner_type:ns owner:ns renewers [type:s name:s] lifetime:i64",
                              "error:i16 owner_type:s owner:s requester_type:s requester:s issue:i64 expiry:i64 max:i64 id:s hmac:nb throttle:i32"),
    "RenewDelegationToken": (39, 2, True, "hmac:nb period:i64", "error:i16 expiry:i64 throttle:i32"),
    "ExpireDelegationToken": (40, 2, True, "hmac:nb period:i64", "error:i16 expiry:i64 throttle:i32"),
    "DescribeDelegationToken": (41, 3, True, "owners [type:s name:s]", "error:i16 tokens [type:s name:s requester_type:s requester:s issue:i64 "
                                "expiry:i64 max:i64 id:s hmac:nb renewers [type:s name:s]] throttle:i32"),
    "IncrementalAlterConfigs": (44, 1, True, "resources [kind:i8 name:s configs [name:s op:i8 value:ns]] dry:bool",
                                "throttle:i32 results [error:i16 message:ns kind:i8 name:s]"),
    "DescribeClientQuotas": (48, 1, True, "components [type:s match:i8 name:ns] strict:bool",
                             "throttle:i32 error:i16 message:ns entries [entity [type:s name:ns] values [key:s value:f64]]"),
    "AlterClientQuotas": (49, 1, True, "entries [entity [type:s name:ns] ops [key:s value:f64 remove:bool]] dry:bool",
                          "throttle:i32 entries [error:i16 message:ns entity [type:s name:ns]]"),
    "DescribeUserScramCredentials": (50, 0, True, "users [name:s]", "throttle:i32 error:i16 message:ns results [user:s error:i16 message:ns "
                                     "credentials [mechanism:i8 iterations:i32]]"),
    "AlterUserScramCredentials": (51, 0, True, "deletions [name:s mechanism:i8] upsertions [name:s mechanism:i8 iterations:i32 salt:nb password:nb]",
                                  "throttle:i32 results [user:s error:i16 message:ns]"),
    "DescribeQuorum": (55, 2, True, "topics [name:s partitions [index:i32]]",
                       "error:i16 message:ns topics [name:s partitions [index:i32 error:i16 message:ns leader:i32 epoch:i32 high:i64 voters [id:i32 "
                       "directory:uuid end:i64 fetched:i64 caught_up:i64] observers [id:i32 directory:uuid end:i64 fetched:i64 caught_up:i64]]] "
                       "nodes [id:i32 listeners [name:s host:s port:u16]]"),
    "DescribeQuorum0": (55, 0, True, "topics [name:s partitions [index:i32]]",
                        "error:i16 topics [name:s partitions [index:i32 error:i16 leader:i32 epoch:i32 high:i64 voters [id:i32 end:i64] "
                        "observers [id:i32 end:i64]]]"),
    "UpdateFeatures": (57, 2, True, "timeout:i32 updates [name:s level:i16 upgrade:i8] dry:bool", "throttle:i32 error:i16 message:ns"),
    "UpdateFeatures1": (57, 1, True, "timeout:i32 updates [name:s level:i16 upgrade:i8] dry:bool",
                        "throttle:i32 error:i16 message:ns results [name:s error:i16 message:ns]"),
    "UnregisterBroker": (64, 0, True, "broker:i32", "throttle:i32 error:i16 message:ns"),
    "GetTelemetrySubscriptions": (71, 0, True, "client:uuid", "throttle:i32 error:i16 client:uuid subscription:i32 codecs [i8] interval:i32 "
                                  "max:i32 delta:bool metrics [s]"),
    "PushTelemetry": (72, 0, True, "client:uuid subscription:i32 terminating:bool codec:i8 metrics:nb", "throttle:i32 error:i16"),
    "ListConfigResources": (74, 1, True, "types [i8]", "throttle:i32 error:i16 resources [name:s type:i8]"),
    "ListConfigResources0": (74, 0, True, "", "throttle:i32 error:i16 resources [name:s]"),
}


def family(name, key, versions, request, response):
    """One message in several versions; a part of a schema is a text, or a pair of its first version and a text."""
    def text(parts, version):
        return " ".join(p if isinstance(p, str) else p[1] for p in parts if isinstance(p, str) or version >= p[0])
    for version, flexible in versions.items():
        MESSAGES[f"{name}{version}"] = (key, version, flexible, text(request, version), text(response, version))


# Messages of several scripts.
family("Find", 10, {4: True, 6: True}, ["kind:i8 keys [s]"], ["throttle:i32 found [key:s node:i32 host:s port:i32 error:i16 message:ns]"])
family("Commit", 8, {8: True, 9: True}, ["group:s generation:i32 member:s instance:ns topics [name:s partitions [index:i32 offset:i64 epoch:i32 metadata:ns]]"],
       ["throttle:i32 topics [name:s partitions [index:i32 error:i16]]"])


class Connection:
    """One connection, to the first of the addresses; an answer is a dict of the response's fields."""

    def __init__(self, bootstrap, client_id="wire"):
        host, port = bootstrap.split(",")[0].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self.client_id, self.correlation = client_id, 0

    def close(self):
        self.socket.close()

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def send(self, name, values, version=None):
        key, default, flexible, request, _ = MESSAGES[name]
        self.correlation += 1
        head = Out(False)
        head.fields(parse("key:i16 version:i16 correlation:i32 client:ns"), [key, default if version is None else version, self.correlation, self.client_id])
        body = Out(flexible)
        if flexible:
            body.varint(0)
        body.fields(parse(request), values)
        self.socket.sendall(struct.pack(">i", len(head.data) + len(body.data)) + head.data + body.data)

    def receive(self, name):
        key, _, flexible, _, response = MESSAGES[name]
        raw = self.read(struct.unpack(">i", self.read(4))[0])
        body = In(raw[4:], flexible)
        if flexible and key != 18:
            body.varint()
        return body.fields(parse(response))

    def ask(self, name, *values):
        self.send(name, values)
        return self.receive(name)


# --- record batches ---------------------------------------------------------------------------------------------------

def crc_table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        yield n


CRC = list(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def zigzag(n):
    out = Out(False)
    out.varint((n << 1) ^ (n >> 63))
    return bytes(out.data)


def record(at, key, value, time_delta=0, offset_delta=None, headers=()):
    def sized(raw):
        return zigzag(-1) if raw is None else zigzag(len(raw)) + raw
    body = b"\0" + zigzag(time_delta) + zigzag(at if offset_delta is None else offset_delta) + sized(key) + sized(value) + zigzag(len(headers))
    for name, content in headers:
        body += sized(name) + sized(content)
    return zigzag(len(body)) + body


def xxh32(data):
    """xxHash32 of fewer than 16 bytes, for an LZ4 frame's header."""
    prime = [2654435761, 2246822519, 3266489917, 668265263, 374761393]
    h = prime[4] + len(data) & 0xFFFFFFFF
    for byte in data:
        h = h + byte * prime[4] & 0xFFFFFFFF
        h = (h << 11 | h >> 21) * prime[0] & 0xFFFFFFFF
    h = (h ^ h >> 15) * prime[1] & 0xFFFFFFFF
    h = (h ^ h >> 13) * prime[2] & 0xFFFFFFFF
    return h ^ h >> 16


def compressed(codec, data):
    """What the codec makes of data; beside gzip's, blocks that are only stored."""
    if codec == 1:
        return gzip.compress(data, mtime=0)
    if codec == 2:
        n = len(data)
        size = Out(False)
        size.varint(n)
        literal = bytes([61 << 2]) + struct.pack("<H", n - 1)
        return bytes(size.data) + literal + data
    if codec == 3:
        descriptor = bytes([0x60, 0x40])
        return struct.pack("<I", 0x184D2204) + descriptor + bytes([xxh32(descriptor) >> 8 & 0xFF]) + struct.pack("<I", len(data) | 1 << 31) + data + bytes(4)
    if codec == 4:
        return struct.pack("<I", 0xFD2FB528) + bytes([0x60]) + struct.pack("<H", len(data) - 256) + (len(data) << 3 | 1).to_bytes(3, "little") + data
    return data


def batch(records, codec=0, time=0, attributes=0, magic=2, producer=(-1, -1, -1), crc=None, count=None, last=None, max_time=None, base=0, raw=None,
          leader_epoch=-1, length=None):
    """A record batch of (key, value) pairs or of ready records; every header field can be made wrong."""
    if raw is None:
        raw = compressed(codec, b"".join(r if isinstance(r, bytes) else record(at, *r) for at, r in enumerate(records)))
    n = len(records)
    body = struct.pack(">hiqqqhii", attributes | codec, n - 1 if last is None else last, time, time if max_time is None else max_time, *producer,
                       n if count is None else count) + raw
    tail = struct.pack(">ib", leader_epoch, magic) + struct.pack(">I", crc32c(body) if crc is None else crc) + body
    return struct.pack(">qi", base, len(tail) if length is None else length) + tail


def headers(records):
    """The headers of fetched batches: what a broker may have changed."""
    at, found = 0, []
    while at + 61 <= len(records):
        base, length, _, magic, _, attributes, last, first_time, max_time, pid, epoch, sequence, count = struct.unpack_from(">qiibIhiqqqhii", records, at)
        found.append({"base": base, "magic": magic, "codec": attributes & 7, "append_time": bool(attributes & 8), "transactional": bool(attributes & 16),
                      "control": bool(attributes & 32), "last": last, "first_time": first_time, "max_time": max_time, "producer": [epoch, sequence],
                      "count": count, "bytes": length})
        at += 12 + length
    return found

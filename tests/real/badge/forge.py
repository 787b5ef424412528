"""usage: forge.py WHOLE FORGED: writes forgeries of the sample badge, one file a kind of tampering, as JSON, SVG and PNG."""
import copy
import json
import pathlib
import struct
import sys
import zlib

whole, forged = map(pathlib.Path, sys.argv[1:])
forged.mkdir(parents=True)
badge = json.loads((whole / "badge.json").read_text())
svg = (whole / "badge.svg").read_text()
png = (whole / "badge.png").read_bytes()

OTHER = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"


def put(*path):
    *way, last, value = path

    def change(it):
        for step in way:
            it = it[step]
        it[last] = value

    return change


def drop(*path):
    *way, last = path

    def change(it):
        for step in way:
            it = it[step]
        del it[last]

    return change


def twice(*path):
    def change(it):
        for step in path:
            it = it[step]
        it.append(copy.deepcopy(it[0]))

    return change


def turn(*path):
    def change(it):
        for step in path:
            it = it[step]
        it.reverse()

    return change


subject, proof = "credentialSubject", ("proof", 0)
changes = {
    "score": put(subject, "result", 0, "value", "23"),
    "score-number": put(subject, "result", 0, "value", 21),
    "holder": put(subject, "identifier", 0, "identityHash", "Eve"),
    "hash": put(subject, "identifier", 1, "identityHash", "sha256$" + "0" * 64),
    "salt": put(subject, "identifier", 1, "salt", "other"),
    "hashed": put(subject, "identifier", 0, "hashed", True),
    "holders-turned": turn(subject, "identifier"),
    "holder-twice": twice(subject, "identifier"),
    "subject-id": put(subject, "id", "did:example:eve"),
    "achievement": put(subject, "achievement", "name", "Doctor of Streams"),
    "criteria": put(subject, "achievement", "criteria", "narrative", "None."),
    "bar": put(subject, "achievement", "resultDescription", 0, "requiredValue", "1"),
    "maximum": put(subject, "achievement", "resultDescription", 0, "valueMax", "99"),
    "result-twice": twice(subject, "result"),
    "name": put("name", "Doctor of Streams"),
    "date": put("validFrom", "2020-01-01T00:00:00Z"),
    "date-future": put("validFrom", "2999-01-01T00:00:00Z"),
    "date-none": drop("validFrom"),
    "date-end": put("validUntil", "2020-01-01T00:00:00Z"),
    "id": put("id", "urn:uuid:02020202-0202-8202-8202-020202020202"),
    "issuer": put("issuer", "id", OTHER),
    "issuer-name": put("issuer", "name", "A university"),
    "issuer-string": put("issuer", badge["issuer"]["id"]),
    "type-twice": put("type", ["VerifiableCredential", "OpenBadgeCredential", "OpenBadgeCredential"]),
    "type-less": put("type", ["VerifiableCredential"]),
    "types-turned": turn("type"),
    "contexts-turned": turn("@context"),
    "context-more": put("@context", [*badge["@context"], "https://purl.imsglobal.org/spec/ob/v3p0/extensions.json"]),
    "context-unknown": put("@context", [*badge["@context"], "https://example.org/context"]),
    "context-less": put("@context", badge["@context"][:1]),
    "field-unknown": put("honours", "summa cum laude"),
    "field-null": put(subject, "achievement", "image", None),
    "proof-none": drop("proof"),
    "proof-empty": put("proof", []),
    "proof-object": put("proof", badge["proof"][0]),
    "proof-twice": twice("proof"),
    "proof-second": put("proof", [badge["proof"][0], {"type": "Ed25519Signature2020"}]),
    "proof-purpose": put(*proof, "proofPurpose", "authentication"),
    "proof-suite": put(*proof, "cryptosuite", "eddsa-jcs-2022"),
    "proof-date": put(*proof, "created", "2026-11-22T18:00:02Z"),
    "proof-date-bad": put(*proof, "created", "yesterday"),
    "proof-expired": put(*proof, "expires", "2020-01-01T00:00:00Z"),
    "proof-method": put(*proof, "verificationMethod", OTHER + "#" + OTHER[8:]),
    "proof-fragment": put(*proof, "verificationMethod", badge["issuer"]["id"] + "#key-1"),
    "proof-cut": put(*proof, "proofValue", badge["proof"][0]["proofValue"][:-1]),
    "proof-base": put(*proof, "proofValue", "uAAAA"),
}


def chunk(kind, data):
    return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))


def text(credential):
    return chunk(b"iTXt", b"openbadgecredential\0\0\0\0\0" + credential.encode())


def bake_svg(credential):
    head, rest = svg.split("<![CDATA[", 1)
    _, tail = rest.split("]]>", 1)
    return head + "<![CDATA[" + credential + "]]>" + tail


start = 33  # signature and IHDR
length = struct.unpack("!I", png[start:start + 4])[0] + 12
for name, change in changes.items():
    it = copy.deepcopy(badge)
    change(it)
    credential = json.dumps(it, ensure_ascii=False)
    (forged / f"{name}.json").write_text(credential)
    (forged / f"{name}.svg").write_text(bake_svg(credential))
    (forged / f"{name}.png").write_bytes(png[:start] + text(credential) + png[start + length:])

credential = json.dumps(badge)
(forged / "field-twice.json").write_text(credential.replace('"validFrom"', '"validFrom": "2020-01-01T00:00:00Z", "validFrom"', 1))
(forged / "chunk-twice.png").write_bytes(png[:start] + text(credential) * 2 + png[start + length:])
compressed = b"openbadgecredential\0\1\0\0\0" + zlib.compress(credential.encode())
(forged / "chunk-compressed.png").write_bytes(png[:start] + chunk(b"iTXt", compressed) + png[start + length:])
(forged / "chunk-none.png").write_bytes(png[:start] + png[start + length:])
(forged / "cut.png").write_bytes(png[:-9])
element = svg[svg.index("<openbadges:credential>"):svg.index("</openbadges:credential>")] + "</openbadges:credential>"
(forged / "element-twice.svg").write_text(svg.replace(element, element * 2))
(forged / "element-none.svg").write_text(svg.replace(element, ""))
(forged / "element-verify.svg").write_text(svg.replace("<openbadges:credential>", '<openbadges:credential verify="a.b.c">'))
(forged / "picture.svg").write_text(svg.replace(">21<", ">23<"))

"""openbadgeslib over badge files. One line a file: `ok FILE` or `refused FILE: why`.

A did:key is self-asserted for openbadgeslib too: it is valid and not trusted, which is what our verifier says.
"""
import sys

from openbadgeslib.ob3 import OB3LdpVerifier, OB3VerificationError
from openbadgeslib.verify import issuer_did_from_document, verify_badge


def verify(data: bytes) -> None:
    if data.lstrip().startswith(b"{"):
        text = data.decode("utf-8")
        OB3LdpVerifier.for_issuer_did(issuer_did_from_document(text)).verify(text)
        return
    result = verify_badge(data, resolve_did=True)
    if not result.valid:
        raise OB3VerificationError(result.reason)


for name in sys.argv[1:]:
    try:
        with open(name, "rb") as file:
            verify(file.read())
        print(f"ok {name}")
    except Exception as error:  # whatever a hostile file provokes is a refusal
        print(f"refused {name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")

"""Verifies webhooks as a receiver in Python does.

Each line of standard input is one request: {"headers": {}, "body": "", "secrets": [], "public": []}. Every secret has to
verify it by the package standardwebhooks, which knows v1 and passes over other versions; every public key has to verify an
entry v1a, by the package cryptography.
"""

import base64
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError


def by_public_key(text, headers, body):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix("whpk_")))
    signed = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.{body}'.encode()
    for entry in headers["webhook-signature"].split(" "):
        version, signature = entry.split(",")
        if version == "v1a":
            try:
                return key.verify(base64.b64decode(signature), signed)
            except InvalidSignature:
                continue
    raise WebhookVerificationError("no entry v1a of this key")


count = 0
for line in sys.stdin:
    request = json.loads(line)
    headers, body = request["headers"], request["body"]
    for secret in request["secrets"]:
        assert Webhook(secret).verify(body, headers) == json.loads(body)
        try:
            Webhook(secret).verify(body + " ", headers)
            sys.exit("another body was believed")
        except WebhookVerificationError:
            count += 1
    for public in request["public"]:
        by_public_key(public, headers, body)
        try:
            by_public_key(public, headers, body + " ")
            sys.exit("another body was believed")
        except WebhookVerificationError:
            count += 1
print(f"{count} signatures verified")

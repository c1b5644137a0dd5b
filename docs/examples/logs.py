#!/usr/bin/env python3
"""A client of Waybill's logs in the standard library alone.

    export WAYBILL_URL=http://127.0.0.1:8000 WAYBILL_TOKEN=wbt_...
    logs.py publish LOG KEY VALUE     stores a message, once however often it is sent
    logs.py consume LOG [OFFSET]      prints messages, and goes on with what comes
    logs.py receive PORT SECRET_FILE  prints what an egress webhook sends and signs

Without WAYBILL_TOKEN a daemon on this machine is asked as this machine.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("WAYBILL_URL", "http://127.0.0.1:8000")
TOKEN = os.environ.get("WAYBILL_TOKEN")
# A receiver believes what was signed at most so long ago.
TOLERANCE = 300
# An egress webhook of klev sends no more than this.
LONGEST = 128 * 1024


class Refused(Exception):
    """An answer with a code: {"code": "log-not-found", "message": "..."}."""

    def __init__(self, status, body):
        self.status = status
        self.code = body.get("code", "")
        super().__init__(f"{status} {self.code}: {body.get('message', '')}")


def call(method, path, body=None, headers=None):
    """Asks the daemon, and gives its answer."""
    request = urllib.request.Request(URL + path, method=method)
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    if TOKEN:
        request.add_header("Authorization", f"Bearer {TOKEN}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    try:
        # Longer than a consume may wait.
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(error.code, json.load(error)) from None


def publish(log, key, value, attempts=5):
    """Stores a message once: whoever does not hear the answer asks again with the same key."""
    once = {"Idempotency-Key": str(uuid.uuid4())}
    body = {
        "encoding": "base64",
        "key": base64.b64encode(key).decode(),
        "value": base64.b64encode(value).decode(),
    }
    for attempt in range(attempts):
        try:
            return call("POST", f"/message/{log}", body, once)["next_offset"]
        except Refused as refused:
            if refused.status < 500:
                raise
            trouble = refused
        except OSError as error:
            trouble = error
        time.sleep(2**attempt)
    raise trouble


def consume(log, offset=-2):
    """Gives (offset, key, value) of each message, and waits for more."""
    while True:
        answer = call("GET", f"/messages/{log}?offset={offset}&len=100&poll=30000&encoding=base64")
        for message in answer["messages"]:
            decode = lambda name: base64.b64decode(message[name]) if name in message else None
            yield message["offset"], decode("key"), decode("value")
        offset = answer["next_offset"]


def believed(header, body, secret, now):
    """Whether X-Klev-Signature (t=SECONDS;v1=HEX[;v1=HEX]) is one of ours over this body."""
    parts = [part.partition("=")[::2] for part in (header or "").split(";")][:66]
    times = [value for name, value in parts if name == "t"]
    if len(times) != 1 or not times[0].isascii() or not times[0].isdigit() or abs(now - int(times[0])) > TOLERANCE:
        return False
    wanted = hmac.new(secret, f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest()
    return any(name == "v1" and hmac.compare_digest(value.encode(), wanted.encode()) for name, value in parts)


def receiver(secret, show):
    """A handler that shows each message that is believed."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            length = self.headers.get("Content-Length", "0")
            length = int(length) if length.isdigit() else 0
            body = self.rfile.read(length) if length <= LONGEST else b""
            signature = self.headers.get_all("X-Klev-Signature") or []
            good = len(signature) == 1 and believed(signature[0], body, secret, time.time())
            if good:
                show(json.loads(body))
            # Anything but a 2xx has it sent again.
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    return Receiver


def show(message):
    decode = lambda name: base64.b64decode(message[name]).decode(errors="replace") if name in message else ""
    print(message["offset"], decode("key"), decode("value"), flush=True)


def main(words):
    match words:
        case ["publish", log, key, value]:
            print(publish(log, key.encode(), value.encode()))
        case ["consume", log, *offset]:
            for offset, key, value in consume(log, *offset):
                print(offset, (key or b"").decode(), (value or b"").decode(), flush=True)
        case ["receive", port, file]:
            with open(file, "rb") as secret:
                handler = receiver(secret.read().strip(), show)
            server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
            print("listening", flush=True)
            server.serve_forever()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Refused, OSError) as error:
        sys.exit(f"logs.py: {error}")
    except KeyboardInterrupt:
        pass

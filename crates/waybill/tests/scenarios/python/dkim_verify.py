"""What dkimpy makes of a mail on standard input: a line of JSON.

dkim_verify.py NAME=RECORD...: what the DNS has. Prints {"dkim": [true, ...], "arc": "pass"}: a verdict for each
DKIM-Signature from the top, and the state of the chain.
"""

import json
import sys

import dkim

records = dict(argument.split('=', 1) for argument in sys.argv[1:])


def dns(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    record = records.get(name.rstrip('.'))
    return record.encode() if record else None


mail = sys.stdin.buffer.read()
verifier = dkim.DKIM(mail)
count = sum(1 for name, _ in verifier.headers if name.lower() == b'dkim-signature')
verdicts = [verifier.verify(index, dnsfunc=dns) for index in range(count)]
state, _, _ = dkim.arc_verify(mail, dnsfunc=dns)
print(json.dumps({'dkim': verdicts, 'arc': state.decode() if state else 'none'}))

"""A next hop made of aiosmtpd. Takes mail over TLS only, and prints each as a line of JSON.

next_hop.py HOST PORT FOLDER [no-utf8]; FOLDER holds cert.pem and key.pem.

The first mail for somebody called drop… is lost: the connection goes when all of it is here, without a word.
"""

import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller


class NextHop:
    def __init__(self):
        self.dropped = set()

    async def handle_DATA(self, server, session, envelope):
        first = envelope.rcpt_tos[0]
        if first.startswith('drop') and first not in self.dropped:
            self.dropped.add(first)
            server.transport.abort()
            return '250 nobody hears this'
        mail = {
            'from': envelope.mail_from,
            'to': envelope.rcpt_tos,
            'options': envelope.mail_options,
            'content': envelope.content.decode('utf-8'),
            'tls': session.ssl is not None,
            'hello': session.host_name,
        }
        print(json.dumps(mail), flush=True)
        return '250 2.0.0 taken by aiosmtpd'


host, port, folder, *more = sys.argv[1:]
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(folder + '/cert.pem', folder + '/key.pem')
Controller(
    NextHop(),
    hostname=host,
    port=int(port),
    tls_context=tls,
    require_starttls=True,
    enable_SMTPUTF8='no-utf8' not in more,
    # Also on a machine that does other work; five seconds are usual.
    ready_timeout=120,
).start()
print('ready', flush=True)
threading.Event().wait()

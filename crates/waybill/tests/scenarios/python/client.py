"""Python's own SMTP client: client.py HOST PORT. Ends with a traceback when anything is not as it should be."""

import smtplib
import ssl
import sys
from email.message import EmailMessage
from email.policy import SMTPUTF8

host, port = sys.argv[1], int(sys.argv[2])
SENDER = 'news@sender.example'


def connect():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    smtp = smtplib.SMTP(host, port, 'client.example', timeout=60)
    smtp.starttls(context=context)
    return smtp


def refused(code, enhanced, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except smtplib.SMTPResponseException as error:
        assert error.smtp_code == code, error
        assert error.smtp_error.decode().startswith(enhanced + ' '), error
    else:
        sys.exit('%s %s was expected of %s' % (code, enhanced, call))


# Nobody may send before they said who they are, and a wrong password changes nothing.
with connect() as smtp:
    try:
        smtp.sendmail(SENDER, ['ann@example.com'], 'Subject: x\r\n\r\nx')
        sys.exit('a stranger was served')
    except smtplib.SMTPRecipientsRefused as error:
        code, text = error.recipients['ann@example.com']
        assert code == 550 and text.startswith(b'5.7.1 relaying not permitted for 127.0.0.1:'), error
    refused(535, '5.7.8', smtp.login, 'tim', 'wrong')
    assert smtp.login('tim', 'secret') == (235, b'2.7.0 AUTH OK!')
    # Once is enough; smtplib takes that for no error.
    code, text = smtp.auth('PLAIN', smtp.auth_plain)
    assert code == 503 and text.startswith(b'5.5.1 '), (code, text)

    # International addresses and headers.
    mail = EmailMessage(policy=SMTPUTF8)
    mail['Subject'], mail['From'], mail['To'] = 'Grüße', 'josé@sender.example', 'jörg@example.com'
    mail.set_content('Größe\n.\n..dots\n', cte='8bit')
    assert smtp.send_message(mail) == {}

    # Without the parameter, an address beyond ASCII is no address.
    smtp.command_encoding = 'utf-8'
    assert smtp.docmd('MAIL', 'FROM:<josé@sender.example>')[0] == 553
    smtp.command_encoding = 'ascii'

    # The longest line that RFC 5322 allows, and one byte more.
    assert smtp.sendmail(SENDER, ['long@example.com'], 'Subject: long\r\n\r\n' + 'x' * 998 + '\r\n') == {}
    refused(500, '5.2.3', smtp.sendmail, SENDER, ['long@example.com'], 'Subject: x\r\n\r\n' + 'x' * 999 + '\r\n')

    # More recipients than fit into one transaction: those that do not are named, the others have their mail.
    many = ['user%d@example.com' % n for n in range(260)]
    left = smtp.sendmail(SENDER, many, 'Subject: many\r\n\r\nbody\r\n')
    assert sorted(left) == sorted(many[250:]), left
    assert all(answer == (452, b'4.5.3 too many recipients') for answer in left.values()), left
    assert smtp.sendmail(SENDER, list(left), 'Subject: many\r\n\r\nbody\r\n') == {}

    # What announces itself as too big is not even sent.
    code, text = smtp.mail(SENDER, ['SIZE=999999999'])
    assert (code, text) == (552, b'5.3.4 message too big'), (code, text)
print('all was well')

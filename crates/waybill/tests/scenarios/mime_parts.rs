//! Policy reads the parts of a mail as it comes in, changes one of them, and the next hop gets it so.

use crate::harness::{Daemon, Home, Mail, Peer, Policy};

const POLICY: &str = r#"
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config {
    protocol = { smtp = { mx_list = { { name = 'mx.there.example', addr = '@PEER@' } } } },
  }
end)

kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {} }
end)

kumo.on('smtp_server_message_received', function(msg, conn_meta)
  local mail = msg:parse_mime()
  local seen = mail:get_simple_structure()
  for _, attachment in ipairs(seen.attachments) do
    if attachment.file_name and attachment.file_name:match '%.exe$' then
      kumo.reject(550, '5.7.1 no programs, please: ' .. attachment.file_name)
    end
  end
  seen.text_part.body = seen.text_part.body .. '\r\n-- \r\nGrüße von example.com\r\n'
  mail.headers:set_subject('[list] ' .. mail.headers:subject())
  msg:set_data(tostring(mail))
end)
"#;

fn letter(file: &str) -> Mail {
    Mail::to("ann@there.example").header("Subject: =?iso-8859-1?q?Gr=FC=DFe?=").header("X-Kept:  as it\r\n\tis").header("MIME-Version: 1.0").header("Content-Type: multipart/mixed; boundary=b").body(format!(
        "preamble\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n filename*=UTF-8''{file}\r\nContent-Transfer-Encoding: base64\r\n\r\nTVo=\r\n--b--"
    ))
}

#[test]
fn the_next_hop_gets_the_part_that_policy_changed_and_all_others_as_they_were() {
    let (home, peer) = (Home::new(), Peer::start(|_, _| None));
    let policy = Policy::new(POLICY.replace("@PEER@", &peer.address().to_string()));
    let daemon = Daemon::start(&home, &policy);
    let mut client = daemon.connect();
    let refused = client.offer(&letter("gr%C3%BCn.exe")).expect("a conversation");
    assert!(refused.text().starts_with("550 5.7.1 no programs, please: grün.exe"), "{}", refused.text());
    client.send(&letter("gr%C3%BCn.txt"));
    peer.takes(1);
    let mail = &peer.messages()[0];
    assert!(
        mail.contains("\r\nSubject: =?UTF-8?q?=5Blist=5D_Gr=C3=BC=C3=9Fe?=\r\nX-Kept:  as it\r\n\tis\r\n"),
        "{mail}"
    );
    let expected = "\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         caf=C3=A9\r\n--=20\r\nGr=C3=BC=C3=9Fe von example.com\r\n\r\n\
         --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n filename*=UTF-8''gr%C3%BCn.txt\r\nContent-Transfer-Encoding: base64\r\n\r\nTVo=\r\n--b--\r\n";
    assert!(mail.ends_with(expected), "{mail}");
    daemon.stop();
}

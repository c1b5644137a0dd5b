//! The next hop: an SMTP server that answers as it is told.

use super::wait::{LIMIT, wait_until};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What it says to a command; `None` is the usual. The number says how often such a command came before.
type Program = dyn Fn(&str, usize) -> Option<String> + Send + Sync;

/// A real SMTP server on a loopback address of its own. It ends with the test's process.
pub(crate) struct Peer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    messages: Vec<String>,
    clients: Vec<SocketAddr>,
}

struct Talk {
    program: Arc<Program>,
    state: Arc<Mutex<State>>,
    tls: Option<Arc<ServerConfig>>,
}

impl Peer {
    /// Answers as told: commands as they come, `.` for the end of a message.
    pub(crate) fn start(program: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> Peer {
        Peer::serve(program, None)
    }

    /// Takes everything at this address of the loopback network: hosts of a domain differ in their addresses alone.
    pub(crate) fn at(address: SocketAddr) -> Peer {
        Peer::serve_at(address, |_, _| None, None)
    }

    /// The same, offering STARTTLS with this certificate.
    pub(crate) fn secure_at(address: SocketAddr, tls: Arc<ServerConfig>) -> Peer {
        Peer::serve_at(address, |_, _| None, Some(tls))
    }

    /// Takes everything, and offers STARTTLS with a certificate that nobody vouches for.
    pub(crate) fn with_tls() -> Peer {
        Peer::secure(|_, _| None)
    }

    /// Answers as told, and offers STARTTLS with a certificate that nobody vouches for.
    pub(crate) fn secure(program: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> Peer {
        Peer::serve(program, Some(Peer::identity(None)))
    }

    /// Takes everything over TLS from who shows a certificate of this authority.
    pub(crate) fn that_asks(authority: CertificateDer<'static>) -> Peer {
        Peer::serve(|_, _| None, Some(Peer::identity(Some(authority))))
    }

    fn identity(wanted: Option<CertificateDer<'static>>) -> Arc<ServerConfig> {
        let own = rcgen::generate_simple_self_signed(["mx.there.example".to_owned()]).expect("make a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS");
        let builder = match wanted {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let config = builder.with_single_cert(vec![own.cert.der().clone()], key).expect("use the certificate");
        Arc::new(config)
    }

    fn serve(
        program: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static,
        tls: Option<Arc<ServerConfig>>,
    ) -> Peer {
        Peer::serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), program, tls)
    }

    fn serve_at(
        address: SocketAddr,
        program: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static,
        tls: Option<Arc<ServerConfig>>,
    ) -> Peer {
        let listener = TcpListener::bind(address).expect("bind a loopback address");
        let address = listener.local_addr().expect("its address");
        let talk = Arc::new(Talk { program: Arc::new(program), state: Arc::default(), tls });
        let state = talk.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let talk = talk.clone();
                std::thread::spawn(move || {
                    let _ = talk.run(stream);
                });
            }
        });
        Peer { address, state }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails that were taken.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.state().messages.clone()
    }

    /// The commands of all connections.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.state().lines.clone()
    }

    /// Who connected.
    pub(crate) fn clients(&self) -> Vec<SocketAddr> {
        self.state().clients.clone()
    }

    /// Waits until so many mails were taken.
    pub(crate) fn takes(&self, count: usize) {
        wait_until(&format!("the next hop has {count} mails"), || (self.messages().len() >= count).then_some(()));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Talk {
    fn run(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        self.state().clients.push(stream.peer_addr()?);
        let mut plain = BufReader::new(stream);
        self.say(&mut plain, "220 mx.there.example ESMTP")?;
        let offers = if self.tls.is_some() { "250-STARTTLS\r\n" } else { "" };
        if !self.talk(&mut plain, offers)? {
            return Ok(());
        }
        let Some(tls) = self.tls.clone() else { return Ok(()) };
        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
        let mut secure = BufReader::new(StreamOwned::new(connection, plain.into_inner()));
        self.talk(&mut secure, "").map(|_| ())
    }

    /// True when TLS is to begin.
    fn talk<S: Read + Write>(&self, stream: &mut BufReader<S>, offers: &str) -> io::Result<bool> {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(false);
            }
            let line = line.trim_end();
            match self.answer(stream, line, offers)? {
                answer if line == "DATA" && answer.starts_with("354") => {
                    let mail = read_mail(stream)?;
                    let answer = self.decide(".", offers);
                    // Before it is said: whoever hears of it finds the mail here.
                    if answer.starts_with('2') {
                        self.state().messages.push(mail);
                    }
                    self.say(stream, &answer)?;
                }
                answer if line == "STARTTLS" && answer.starts_with("220") => return Ok(true),
                answer if line == "QUIT" || answer.starts_with("421") => return Ok(false),
                _ => {}
            }
        }
    }

    fn answer<S: Read + Write>(&self, stream: &mut BufReader<S>, line: &str, offers: &str) -> io::Result<String> {
        let answer = self.decide(line, offers);
        self.say(stream, &answer)?;
        Ok(answer)
    }

    /// What is to be said to a command.
    fn decide(&self, line: &str, offers: &str) -> String {
        let verb = |line: &str| line.split([' ', ':']).next().unwrap_or("").to_owned();
        let before = {
            let mut state = self.state();
            let before = state.lines.iter().filter(|heard| verb(heard) == verb(line)).count();
            state.lines.push(line.to_owned());
            before
        };
        let usual = || match verb(line).as_str() {
            "EHLO" => format!("250-mx.there.example\r\n250-PIPELINING\r\n{offers}250 8BITMIME"),
            "DATA" => "354 go ahead".to_owned(),
            "STARTTLS" => "220 go".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            "." => "250 2.0.0 OK ids=17".to_owned(),
            _ => "250 2.1.0 fine".to_owned(),
        };
        (self.program)(line, before).unwrap_or_else(usual)
    }

    fn say<S: Read + Write>(&self, stream: &mut BufReader<S>, text: &str) -> io::Result<()> {
        stream.get_mut().write_all(format!("{text}\r\n").as_bytes())?;
        stream.get_mut().flush()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_mail<S: Read>(stream: &mut BufReader<S>) -> io::Result<String> {
    let mut mail = String::new();
    while !(mail == ".\r\n" || mail.ends_with("\r\n.\r\n")) {
        if stream.read_line(&mut mail)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    mail.truncate(mail.len() - 3);
    Ok(mail)
}

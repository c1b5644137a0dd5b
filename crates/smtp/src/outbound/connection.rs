//! A connection: from the first packet to where mail can be sent.

use super::auth::authenticate;
use super::dial::dial;
use super::failure::{Refusal, Step};
use super::greeting::{Capabilities, greet};
use super::guard::Guard;
use super::plan::Candidate;
use super::settings::Settings;
use super::tls::handshake;
use super::told::{Tap, Until};
use super::wire::Wire;
use std::time::Duration;
use waybill_delivery::{Peer, SessionFacts, TlsSession};
use waybill_queue_core::config::{Tls, TlsMode};
use waybill_tls::{Check, ClientParams, Connectors};

/// How long a server may take over QUIT: nothing depends on it.
const GOODBYE: Duration = Duration::from_secs(5);

/// How safe what is said is from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Security {
    /// Not at all.
    Plain,
    /// From listeners; who is at the other end was not checked.
    Unverified,
    /// The certificate was checked.
    Verified,
    /// It is one that the host's TLSA records mean.
    Dane,
}

/// A connection that mail can be sent over.
pub(super) struct Connection {
    pub(super) wire: Wire,
    pub(super) offered: Capabilities,
    pub(super) candidate: Candidate,
    pub(super) facts: SessionFacts,
    pub(super) security: Security,
    /// How many transactions were begun on it.
    pub(super) transactions: u64,
    /// The last one did not end as a transaction should: the server may still be in it.
    pub(super) unclean: bool,
    /// Tells of the end.
    _until: Until,
}

/// What TLS there is to be on this connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Never,
    IfOffered(Check),
    Always(Check),
}

impl Wanted {
    /// The guard goes before the path's own word.
    fn of(tls: Tls, guard: &Guard) -> Self {
        match guard {
            Guard::Path => {}
            Guard::Sts(_) | Guard::Dane(_) => return Wanted::Always(Check::Certificate),
            Guard::Encrypted => {
                let checked = matches!(tls, Tls::Opportunistic | Tls::Required);
                return Wanted::Always(if checked { Check::Certificate } else { Check::Nothing });
            }
        }
        match tls {
            Tls::Disabled => Wanted::Never,
            Tls::Opportunistic => Wanted::IfOffered(Check::Certificate),
            Tls::OpportunisticInsecure => Wanted::IfOffered(Check::Nothing),
            Tls::Required => Wanted::Always(Check::Certificate),
            Tls::RequiredInsecure => Wanted::Always(Check::Nothing),
        }
    }
}

impl Connection {
    /// Connects, and agrees with the server on everything that comes before mail.
    pub(super) async fn open(
        candidate: &Candidate,
        settings: &Settings,
        connectors: &Connectors,
        tap: &Tap,
    ) -> Result<Self, Refusal> {
        tap.turn_to(candidate);
        let wanted = Wanted::of(settings.path.enable_tls, &candidate.guard);
        let refusal = match Connection::open_with(candidate, settings, connectors, wanted, tap).await {
            Ok(connection) => return Ok(connection),
            Err(refusal) => refusal,
        };
        let may_go_without = matches!(wanted, Wanted::IfOffered(_)) && settings.path.tls_mode == TlsMode::StartTls;
        if may_go_without && refusal.is_about_tls() && settings.path.opportunistic_tls_reconnect_on_failed_handshake {
            tracing::debug!(%candidate, "once more without TLS: {refusal}");
            return Connection::open_with(candidate, settings, connectors, Wanted::Never, tap).await;
        }
        if refusal.is_about_tls() && candidate.guard != Guard::Path {
            return Err(Refusal::Ours(format!("{refusal}; {} asks for a good one", candidate.guard)));
        }
        Err(refusal)
    }

    async fn open_with(
        candidate: &Candidate,
        settings: &Settings,
        connectors: &Connectors,
        wanted: Wanted,
        tap: &Tap,
    ) -> Result<Self, Refusal> {
        let (stream, source) = dial(candidate.address, settings).await?;
        let until = Until::closed(tap);
        let mut link = Link { wire: Wire::new(stream, tap.clone()), tls: None, security: Security::Plain };
        let path = &settings.path;
        if path.tls_mode == TlsMode::ImplicitTls {
            let check = if matches!(wanted, Wanted::Always(Check::Nothing) | Wanted::IfOffered(Check::Nothing)) {
                Check::Nothing
            } else {
                Check::Certificate
            };
            link = link.secure(candidate, settings, connectors, check, until.tap()).await?;
        }
        let banner = link.wire.reply(Step::Banner, path.banner_timeout).await?;
        if banner.code != 220 {
            return Err(Refusal::Said { step: Step::Banner, reply: banner });
        }
        let mut offered = greet(&mut link.wire, settings).await?;
        if link.tls.is_none()
            && let Some(check) = start_tls(&mut link.wire, settings, offered, wanted, &candidate.guard).await?
        {
            link = link.secure(candidate, settings, connectors, check, until.tap()).await?;
            // What was offered before may have been put there by somebody else.
            offered = greet(&mut link.wire, settings).await?;
        }
        authenticate(&mut link.wire, settings, offered, link.security).await?;
        Ok(Connection {
            wire: link.wire,
            offered,
            candidate: candidate.clone(),
            facts: SessionFacts { source: Some(source), tls: link.tls },
            security: link.security,
            transactions: 0,
            unclean: false,
            _until: until,
        })
    }

    pub(super) fn peer(&self) -> Peer {
        Peer { name: self.candidate.host.clone(), addr: self.candidate.address.ip().to_string() }
    }

    /// Says goodbye. Whatever comes of it, the connection is gone afterwards.
    pub(super) async fn quit(mut self) {
        if self.wire.send(b"QUIT\r\n", Step::Quit, GOODBYE).await.is_ok() {
            let _ = self.wire.reply(Step::Quit, GOODBYE).await;
        }
    }
}

/// A connection in the making.
struct Link {
    wire: Wire,
    tls: Option<TlsSession>,
    security: Security,
}

impl Link {
    async fn secure(
        self,
        candidate: &Candidate,
        settings: &Settings,
        connectors: &Connectors,
        check: Check,
        tap: &Tap,
    ) -> Result<Self, Refusal> {
        let stream = self.wire.into_stream(Step::StartTls)?;
        let limit = settings.path.starttls_timeout.max(settings.path.connect_timeout);
        let (host, address) = (candidate.host.as_str(), candidate.address.ip());
        let params = ClientParams { check, dane: candidate.guard.associations(), ..settings.tls.clone() };
        let (stream, tls) = handshake(connectors, &params, stream, host, address, limit).await?;
        let security = match (&params.dane, check) {
            (Some(_), _) => Security::Dane,
            (None, Check::Certificate) => Security::Verified,
            (None, Check::Nothing) => Security::Unverified,
        };
        tap.secured(&tls);
        Ok(Link { wire: Wire::new(stream, tap.clone()), tls: Some(tls), security })
    }
}

/// Asks for TLS where that is wanted. `Some` when the server is waiting for the handshake.
async fn start_tls(
    wire: &mut Wire,
    settings: &Settings,
    offered: Capabilities,
    wanted: Wanted,
    guard: &Guard,
) -> Result<Option<Check>, Refusal> {
    let (check, required) = match wanted {
        Wanted::Never => return Ok(None),
        Wanted::IfOffered(check) => (check, false),
        Wanted::Always(check) => (check, true),
    };
    if !offered.starttls {
        let missing = || Refusal::Ours(format!("{guard} asks for TLS, and the server does not offer STARTTLS"));
        return if required { Err(missing()) } else { Ok(None) };
    }
    let limit = settings.path.starttls_timeout;
    wire.send(b"STARTTLS\r\n", Step::StartTls, limit).await?;
    let reply = wire.reply(Step::StartTls, limit).await?;
    match reply.code {
        220 => Ok(Some(check)),
        _ if required || reply.ends_session() => Err(Refusal::Said { step: Step::StartTls, reply }),
        _ => Ok(None),
    }
}

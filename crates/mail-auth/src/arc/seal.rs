//! A further set on a chain (RFC 8617, section 5.1).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::dkim::Canonicalization;

use super::verify::{Chain, ChainStatus};
use super::{MESSAGE, MOST_SETS, RESULTS, SEAL};
use crate::fold::Folded;
use crate::mail::Mail;
use crate::result::{self, AuthenticationResult, HeaderError};
use crate::signature::{self, Kind};
use crate::signer::{Signer, SignerError};

/// Why there is no seal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealError {
    /// What is to be sealed cannot be written.
    #[error(transparent)]
    Results(#[from] HeaderError),
    /// The key cannot sign.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

impl Chain<'_> {
    /// The fields of a further set, with their line ends; they belong before all others. `None` where there is nothing to
    /// vouch for: the chain does not hold, or is as long as chains may be. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// Results that cannot be written; a key that cannot sign.
    pub fn seal(
        &self,
        signer: &Signer,
        server_id: &str,
        results: &[AuthenticationResult],
        now: u64,
    ) -> Result<Option<String>, SealError> {
        let validation = match self.status() {
            ChainStatus::None => "none",
            ChainStatus::Pass if self.sets.len() < MOST_SETS => "pass",
            ChainStatus::Pass | ChainStatus::Fail(_) => return Ok(None),
        };
        let instance = self.sets.len() + 1;
        let mut told = Folded::new(RESULTS);
        told.word(&format!("i={instance};"));
        result::write(&mut told, server_id, results)?;
        let told = told.into_text() + "\r\n";

        let kind = Kind { name: MESSAGE, first: &format!("i={instance};"), more: &[] };
        let message = signature::field(signer, &self.mail, now, &kind)?;

        let mut seal = Folded::new(SEAL);
        for tag in [
            format!("i={instance};"),
            format!("a={};", signer.key.algorithm().name()),
            format!("t={now};"),
            format!("cv={validation};"),
            format!("d={};", signer.domain),
            format!("s={};", signer.selector),
            "b=".to_owned(),
        ] {
            seal.word(&tag);
        }
        let new = format!("{told}{message}");
        // As whoever verifies reads them.
        let new = Mail::new(new.as_bytes());
        let new = [RESULTS, MESSAGE].into_iter().flat_map(|name| new.named(name));
        let covered = self.sets.iter().flat_map(super::sets::Set::fields).chain(new).collect();
        let signed = signature::sign(signer, covered, seal.text(), Canonicalization::Relaxed)?;
        seal.run(&STANDARD.encode(signed));
        Ok(Some(format!("{}\r\n{message}{told}", seal.into_text())))
    }
}

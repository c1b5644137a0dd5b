use crate::{Code, Error};
use std::sync::Arc;

/// A longer name is no tenant's.
const MAX_TENANT: usize = 256;

/// Whose logs somebody reaches. What is out of reach is answered as if it were not there.
///
/// ```
/// use waybill_streams_core::Reach;
/// let acme = Reach::Tenant("acme".into());
/// assert!(acme.covers(Some("acme")));
/// // A log of nobody in particular is not the tenant's.
/// assert!(!acme.covers(None) && Reach::All.covers(None));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// Everybody's, and those that are nobody's in particular.
    #[default]
    All,
    /// Those of one tenant.
    Tenant(Arc<str>),
}

impl Reach {
    /// Of a caller that is confined to this tenant, or to none.
    pub fn of(tenant: Option<&str>) -> Self {
        tenant.map_or(Reach::All, |tenant| Reach::Tenant(tenant.into()))
    }

    /// Whether what belongs to this tenant, or to nobody in particular, is within it.
    pub fn covers(&self, tenant: Option<&str>) -> bool {
        match self {
            Reach::All => true,
            Reach::Tenant(own) => tenant == Some(own),
        }
    }

    /// Whose a new log is, given whose it is to be: whoever is confined makes what is confined alike.
    ///
    /// # Errors
    /// `authorization-failed` where it is to be another's, `json-invalid` where it is to be nobody's that can be named.
    pub fn owner(&self, wanted: Option<String>) -> Result<Option<String>, Error> {
        let fits =
            |name: &String| (1..=MAX_TENANT).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        match (self, wanted) {
            (Reach::Tenant(own), None) => Ok(Some(own.to_string())),
            (_, Some(name)) if !fits(&name) => {
                let why = "tenant: a name has 1 to 256 characters, none of them a control character";
                Err(Error::new(Code::JsonInvalid, why))
            }
            (Reach::Tenant(own), Some(name)) if **own != *name => {
                let why = format!("tenant: what this token makes belongs to {own:?}; leave the field out");
                Err(Error::new(Code::AuthorizationFailed, why))
            }
            (_, wanted) => Ok(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(reach: &Reach, wanted: Option<&str>) -> Result<Option<String>, Code> {
        reach.owner(wanted.map(str::to_owned)).map_err(|error| error.code)
    }

    #[test]
    fn whoever_is_confined_makes_what_is_confined_alike_and_nothing_else() {
        let acme = Reach::of(Some("acme"));
        assert_eq!(owner(&acme, None), Ok(Some("acme".to_owned())));
        assert_eq!(owner(&acme, Some("acme")), Ok(Some("acme".to_owned())));
        assert_eq!(owner(&acme, Some("other")), Err(Code::AuthorizationFailed));
        let all = Reach::of(None);
        assert_eq!(owner(&all, None), Ok(None));
        assert_eq!(owner(&all, Some("acme")), Ok(Some("acme".to_owned())));
        for name in ["", "a\nb", "\u{7f}", &"x".repeat(257)] {
            assert_eq!(owner(&all, Some(name)), Err(Code::JsonInvalid), "{name:?}");
        }
    }

    #[test]
    fn one_tenant_reaches_neither_another_nor_what_is_nobodys() {
        let acme = Reach::of(Some("acme"));
        assert!(acme.covers(Some("acme")));
        assert!(!acme.covers(Some("Acme")) && !acme.covers(Some("")) && !acme.covers(None));
        assert!(Reach::All.covers(Some("acme")) && Reach::All.covers(None));
    }
}

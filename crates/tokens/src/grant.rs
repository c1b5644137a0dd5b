use crate::{Acl, AclError, Action, Subject};

/// A longer name is no tenant's.
const MAX_TENANT: usize = 256;

/// What somebody may do: an access list, in one tenant or in all.
///
/// ```
/// use waybill_tokens::{Action, Grant, Subject};
/// let confined = Grant::parse(["logs"], Some("acme")).unwrap();
/// // A log of nobody in particular is not the tenant's.
/// assert!(!confined.permits(Subject::Logs, Action::Get, Some("log_x"), None));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Grant {
    /// What.
    acl: Acl,
    /// Where; everywhere when unset.
    tenant: Option<String>,
}

/// A text is no tenant's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a tenant's name has 1 to 256 characters, none of them a control character")]
pub struct TenantError;

impl Grant {
    /// With a list, in one tenant or in all.
    ///
    /// # Errors
    /// When there is a tenant whose name is empty, too long, or holds control characters.
    pub fn new(acl: Acl, tenant: Option<String>) -> Result<Self, TenantError> {
        let fits =
            |name: &String| (1..=MAX_TENANT).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if tenant.as_ref().is_none_or(fits) { Ok(Grant { acl, tenant }) } else { Err(TenantError) }
    }

    /// From the lines of a list, for a program's own grants and for tests: the tenant's name is not looked at.
    ///
    /// # Errors
    /// Names the first line that is none.
    pub fn parse<T: AsRef<str>>(lines: impl IntoIterator<Item = T>, tenant: Option<&str>) -> Result<Self, AclError> {
        Ok(Grant { acl: Acl::parse(lines)?, tenant: tenant.map(str::to_owned) })
    }

    /// Everything, everywhere: whoever sits at the machine.
    pub fn operator() -> Self {
        Grant { acl: Acl::everything(), tenant: None }
    }

    /// Its list.
    pub const fn acl(&self) -> &Acl {
        &self.acl
    }

    /// The tenant that it is confined to.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Whether what belongs to this tenant, or to nobody in particular, is within reach.
    pub fn reaches(&self, tenant: Option<&str>) -> bool {
        self.tenant.is_none() || self.tenant.as_deref() == tenant
    }

    /// Whether this may be done with an object (all of them when unset) that belongs to this tenant (nobody in particular
    /// when unset).
    pub fn permits(&self, subject: Subject, action: Action, object: Option<&str>, tenant: Option<&str>) -> bool {
        self.reaches(tenant) && self.acl.permits(subject, action, object)
    }

    /// Whether `other` allows nothing that this does not: then whoever has this may hand `other` on.
    pub fn includes(&self, other: &Grant) -> bool {
        let reaches = self.tenant.is_none() || self.tenant == other.tenant;
        reaches && self.acl.includes(&other.acl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(lines: &[&str], tenant: Option<&str>) -> Grant {
        Grant::new(Acl::parse(lines).unwrap(), tenant.map(str::to_owned)).unwrap()
    }

    #[test]
    fn a_confined_grant_reaches_its_tenant_and_neither_others_nor_what_is_nobodys() {
        let confined = grant(&["logs"], Some("a"));
        let permits = |grant: &Grant, tenant| grant.permits(Subject::Logs, Action::Get, Some("log_x"), tenant);
        assert!(permits(&confined, Some("a")));
        assert!(!permits(&confined, Some("b")) && !permits(&confined, None) && !permits(&confined, Some("A")));
        let free = grant(&["logs"], None);
        assert!(permits(&free, Some("a")) && permits(&free, None));
    }

    #[test]
    fn confinement_can_be_narrowed_and_never_left() {
        let (free, a, b) = (grant(&["logs"], None), grant(&["logs"], Some("a")), grant(&["logs"], Some("b")));
        assert!(free.includes(&a) && a.includes(&a));
        assert!(!a.includes(&free) && !a.includes(&b));
        assert!(Grant::operator().includes(&a) && Grant::operator().includes(&Grant::operator()));
        assert!(!a.includes(&grant(&["logs", "tokens"], Some("a"))));
        assert!(a.includes(&grant(&["logs:get:log_x", "logs:list"], Some("a"))));
    }

    #[test]
    fn a_tenant_has_a_name_that_can_be_read() {
        for name in ["", "a\nb", "\u{7f}"] {
            assert_eq!(Grant::new(Acl::default(), Some(name.into())), Err(TenantError), "{name:?}");
        }
        assert!(Grant::new(Acl::default(), Some("x".repeat(257))).is_err());
        assert!(Grant::new(Acl::default(), Some("häuser & co".into())).is_ok());
    }
}

//! The keys that secrets are sealed with in the store: where they come from, and whether they open what is there.

use super::plan::WebhooksSection;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use std::fmt;
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use waybill_sealing::{Key, KeyId, Keyring, Sealed};
use waybill_spool::{Key as RowKey, Store, Table};
use waybill_tls::KeySource;

/// The variable that holds the keys.
const VARIABLE: &str = "WAYBILL_SECRETS_KEY";
/// The variable that names their file.
const FILE_VARIABLE: &str = "WAYBILL_SECRETS_KEY_FILE";
/// The file in the state directory, where nothing else is said.
const OWN: &str = "secrets.key";
/// No file of keys is longer, in bytes.
const LONGEST: u64 = 64 * 1024;
/// Rows that are read at a time.
const PAGE: usize = 1_000;
/// Where values stand in the table of states that are sealed as a whole.
const SEALED: [&[&str]; 4] =
    [&["event-hook"], &["event-hooks-key"], &["streams", "egress-keys"], &["streams", "ingress-keys"]];

/// What the environment says.
#[derive(Default)]
pub(crate) struct Environment {
    keys: Option<String>,
    file: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    pub(crate) fn of_process() -> Self {
        Environment { keys: std::env::var(VARIABLE).ok(), file: std::env::var_os(FILE_VARIABLE).map(PathBuf::from) }
    }
}

/// Where the keys come from.
enum Origin {
    /// A file, and who names it.
    File(PathBuf, &'static str),
    /// Their text, and where it stands.
    Text(String, &'static str),
    /// Our own file, which is made when it is not there.
    Own(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, by) => write!(f, "{} ({by})", path.display()),
            Origin::Text(_, place) => f.write_str(place),
            Origin::Own(path) => path.display().fmt(f),
        }
    }
}

impl Origin {
    fn new(section: &WebhooksSection, environment: Environment, state: &Path) -> Result<Self> {
        const OPTION: &str = "kumo.configure_webhooks, secrets_key";
        Ok(match (&section.secrets_key, environment.keys, environment.file) {
            (Some(KeySource::File(path)), ..) => Origin::File(path.clone(), OPTION),
            (Some(KeySource::Data(text)), ..) => Origin::Text(text.to_string(), OPTION),
            (None, Some(_), Some(_)) => bail!("{VARIABLE} and {FILE_VARIABLE} are both set: remove one"),
            (None, Some(text), None) => Origin::Text(text, VARIABLE),
            (None, None, Some(path)) => Origin::File(path, FILE_VARIABLE),
            (None, None, None) => Origin::Own(state.join(OWN)),
        })
    }

    /// The keys; none where our own file is not there yet.
    fn read(&self) -> Result<Option<Keyring>> {
        let text = match self {
            Origin::Text(text, _) => text.as_bytes().to_vec(),
            Origin::File(path, _) => read_private(path)?.with_context(|| {
                format!(
                    "there is no file {}; expected the path of a file of keys, or {{ key_data = '…' }}",
                    path.display()
                )
            })?,
            Origin::Own(path) => match read_private(path)? {
                Some(text) => text,
                None => return Ok(None),
            },
        };
        Ok(Some(Keyring::parse(&text)?))
    }
}

/// Whether the option says something that can be used, for the moment at which the policy says it.
pub(crate) fn check(section: &WebhooksSection) -> Result<(), String> {
    let of_policy = |section| Origin::new(section, Environment::default(), Path::new(""))?.read();
    section
        .secrets_key
        .as_ref()
        .map_or(Ok(()), |_| of_policy(section).map(|_| ()).map_err(|error| format!("secrets_key: {error:#}")))
}

/// The keys of this daemon, which open all that is stored; a new one where there is none and nothing is sealed.
///
/// # Errors
/// When the keys cannot be read, or something is sealed by a key that is not among them.
pub(crate) async fn keys(
    section: &WebhooksSection,
    environment: Environment,
    state: &Path,
    store: &dyn Store,
) -> Result<Arc<Keyring>> {
    let origin = Origin::new(section, environment, state)?;
    let needed = needed(store).await.context("look for sealed secrets in the spool")?;
    let ring = match (origin.read().with_context(|| format!("read the keys for secrets from {origin}"))?, &origin) {
        (Some(ring), _) => ring,
        (None, Origin::Own(path)) if needed.iter().all(|key| section.is_lost(key)) => make(path)?,
        (None, _) => {
            let keys = listed(&needed);
            bail!(
                "{origin} is gone, and secrets in the spool are sealed by its key {keys}: {}",
                way_out(&origin, &keys)
            );
        }
    };
    let missing: Vec<KeyId> = needed.into_iter().filter(|key| !ring.holds(*key)).collect();
    let (lost, unknown): (Vec<KeyId>, Vec<KeyId>) = missing.into_iter().partition(|key| section.is_lost(key));
    if !lost.is_empty() {
        tracing::warn!(keys = listed(&lost), "secrets that were sealed by lost keys stay shut: set them again");
    }
    let keys = listed(&unknown);
    ensure!(
        unknown.is_empty(),
        "secrets in the spool are sealed by the key {keys}, which {origin} does not hold: {}",
        way_out(&origin, &keys)
    );
    Ok(Arc::new(ring))
}

fn way_out(origin: &Origin, keys: &str) -> String {
    format!(
        "put that key back as a line of its own below the first of {origin}. If it is lost, say so by \
         kumo.configure_webhooks {{ lost_secrets_keys = {{ '{keys}' }} }}: what it sealed stays shut, and has to be set again"
    )
}

fn listed(keys: &[KeyId]) -> String {
    keys.iter().map(KeyId::to_string).collect::<Vec<_>>().join("', '")
}

/// The keys that something in the store is sealed by.
async fn needed(store: &dyn Store) -> Result<Vec<KeyId>> {
    let mut keys = Vec::new();
    for place in SEALED {
        let below = place.iter().fold(RowKey::new(), |key, part| key.text(part));
        let mut from = below.clone();
        loop {
            let rows = store.range(Table::State, from, below.end(), PAGE).await?;
            keys.extend(rows.iter().filter_map(|(_, value)| sealed_by(value)));
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => from = last.after(),
                _ => break,
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// What is stored as it is, from before there were keys, is its owner's business.
fn sealed_by(value: &Bytes) -> Option<KeyId> {
    Sealed::from_bytes(value).ok().map(|sealed| sealed.key())
}

/// A file that not everybody may read; none where it is not there.
fn read_private(path: &Path) -> Result<Option<Vec<u8>>> {
    let shown = path.display();
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("open {shown}"))?,
    };
    let about = file.metadata().with_context(|| format!("look at {shown}"))?;
    let mode = about.permissions().mode() & 0o777;
    ensure!(
        mode & 0o027 == 0,
        "{shown} may be read by everybody, or written by others than its owner (mode {mode:04o}): `chmod 0600 {shown}`, and \
         think of its key as known"
    );
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).with_context(|| format!("read {shown}"))?;
    Ok(Some(text))
}

/// Makes our own file, whole or not at all.
fn make(path: &Path) -> Result<Keyring> {
    let key = Key::random().context("make a key for secrets")?;
    let shown = path.display();
    let new = path.with_extension("key.new");
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        // It may have been there before.
        file.set_permissions(Permissions::from_mode(0o600))?;
        writeln!(file, "# Secrets in the spool are sealed by this key. Keep a copy, apart from backups of the spool.")?;
        writeln!(file, "{}", key.reveal().as_str())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
    };
    write().with_context(|| format!("write a new key for secrets to {shown}"))?;
    tracing::info!(key = %key.id(), "made a key that secrets are sealed with, in {shown}: keep a copy of it");
    Ok(Keyring::of(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_sealing::Place;

    const KEY: &str = "6Kd0pQ7V0sYh3n1jZJpT4R2mXw9uFbL8cAeGiKoSqUw=";

    fn option(source: KeySource) -> WebhooksSection {
        WebhooksSection { secrets_key: Some(source), ..WebhooksSection::default() }
    }

    fn from_environment(keys: Option<&str>, file: Option<&Path>) -> Environment {
        Environment { keys: keys.map(str::to_owned), file: file.map(Path::to_owned) }
    }

    fn read(section: &WebhooksSection, environment: Environment, state: &Path) -> Result<Option<Keyring>> {
        Origin::new(section, environment, state)?.read()
    }

    fn write(path: &Path, mode: u32) {
        std::fs::write(path, KEY).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_option_goes_before_the_environment_and_that_before_our_own_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        write(&file, 0o640);
        let none = WebhooksSection::default();
        for (section, environment) in [
            (option(KeySource::Data(KEY.into())), from_environment(Some("nonsense"), Some(Path::new("/nowhere")))),
            (option(KeySource::File(file.clone())), from_environment(None, None)),
            (none.clone(), from_environment(Some(KEY), None)),
            (none.clone(), from_environment(None, Some(&file))),
        ] {
            assert!(read(&section, environment, dir.path()).unwrap().is_some());
        }
        assert!(read(&none, Environment::default(), dir.path()).unwrap().is_none(), "there is none yet");
        let both = read(&none, from_environment(Some(KEY), Some(&file)), dir.path()).unwrap_err();
        assert_eq!(both.to_string(), "WAYBILL_SECRETS_KEY and WAYBILL_SECRETS_KEY_FILE are both set: remove one");
    }

    #[test]
    fn a_file_that_everybody_may_read_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        for mode in [0o644, 0o604, 0o660, 0o602] {
            write(&file, mode);
            let error = check(&option(KeySource::File(file.clone()))).unwrap_err();
            let wanted = format!("`chmod 0600 {}`", file.display());
            assert!(error.starts_with("secrets_key: ") && error.contains(&wanted), "{error}");
            assert!(error.contains(&format!("(mode {mode:04o})")) && !error.contains(KEY), "{error}");
        }
        for mode in [0o600, 0o400, 0o640] {
            write(&file, mode);
            assert_eq!(check(&option(KeySource::File(file.clone()))), Ok(()));
        }
    }

    #[test]
    fn a_key_that_is_none_is_told_without_being_shown() {
        let error = check(&option(KeySource::Data("hunter2hunter2hunter2".into()))).unwrap_err();
        assert!(error.contains("secrets_key: line 1") && error.contains("openssl rand"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let error = check(&option(KeySource::File("/no/such/file".into()))).unwrap_err();
        assert!(error.starts_with("secrets_key: there is no file /no/such/file; expected the path"), "{error}");
    }

    #[test]
    fn our_own_file_is_private_and_holds_the_key_that_it_was_made_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(OWN);
        let made = make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = read(&WebhooksSection::default(), Environment::default(), dir.path()).unwrap().unwrap();
        assert_eq!(read.ids().collect::<Vec<_>>(), made.ids().collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn only_what_is_sealed_tells_a_key() {
        let ring = Keyring::parse(KEY.as_bytes()).unwrap();
        let sealed = ring.seal(&Place::new("x"), b"secret").unwrap();
        assert_eq!(sealed_by(&Bytes::copy_from_slice(sealed.as_bytes())), Some(sealed.key()));
        assert_eq!(sealed_by(&Bytes::from_static(b"{\"secret\":\"whsec_x\"}")), None);
    }
}

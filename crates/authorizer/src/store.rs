use crate::table::Tokens;
use crate::{Caller, Change, Origin, Refusal};
use arc_swap::ArcSwapOption;
use parking_lot::RwLock;
use std::sync::Arc;
use tokio::sync::{Mutex, oneshot};
use waybill_runtime::{Clock, Supervisor};
use waybill_spool::{Batch, Durability, Key, Store, StoreError, Table};
use waybill_tokens::{Acl, Bearer, BearerHash, Grant, Limit, Permission, TenantError, Token, TokenId};

/// So many tokens there may be: all are in memory.
pub const MAX_TOKENS: usize = 10_000;

/// Why a token was not made, changed or deleted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// There is none with this id that the caller may see.
    #[error("there is no token {0}")]
    NotFound(TokenId),
    /// The caller would give away more than it has.
    #[error("a token cannot grant more than who makes it has: {0}")]
    NotAllowed(String),
    /// There are as many as there may be.
    #[error("there are {MAX_TOKENS} tokens: delete some first")]
    Count,
    /// It is too large.
    #[error(transparent)]
    Limit(#[from] Limit),
    /// It is to be confined to what is no tenant.
    #[error("tenant: {0}")]
    Tenant(#[from] TenantError),
    /// The spool is not open yet.
    #[error("waiting for spool startup")]
    NotReady,
    /// It could not be stored; nothing has changed.
    #[error("the spool: {0}")]
    Store(#[from] StoreError),
    /// The system gave no random bytes, or the daemon is being stopped.
    #[error("{0}")]
    Failed(String),
}

/// What is to be different about a token; what is unset stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenUpdate {
    /// What is said about it.
    pub metadata: Option<String>,
    /// What it allows.
    pub acl: Option<Acl>,
}

/// What a token was before a change, and is after it.
type OldAndNew = (Option<Token>, Option<Token>);

/// Puts into a batch what is to be stored together with a change: its event, say.
type Recorder = Arc<dyn Fn(&Change, &mut Batch) + Send + Sync>;

/// The tokens of a daemon: in memory for those who ask, in the store for those who change them.
///
/// Under `"token" ID` in [`Table::State`]. A change is synced before it counts, one at a time, and goes on when whoever asked
/// for it hangs up. Cheap to clone; clones are the same tokens.
#[derive(Clone)]
pub struct TokenStore {
    inner: Arc<Inner>,
}

struct Inner {
    tokens: ArcSwapOption<Tokens>,
    /// Held while a change is stored.
    store: Mutex<Option<Arc<dyn Store>>>,
    recorder: RwLock<Option<Recorder>>,
    clock: Arc<dyn Clock>,
    tasks: Supervisor,
}

fn all() -> Key {
    Key::new().text("token")
}

fn key(id: TokenId) -> Key {
    all().text(&id.to_string())
}

impl TokenStore {
    /// Without tokens until [`TokenStore::open`]; changes are tasks of `tasks`.
    pub fn new(clock: Arc<dyn Clock>, tasks: Supervisor) -> Self {
        let inner = Inner {
            tokens: ArcSwapOption::empty(),
            store: Mutex::default(),
            recorder: RwLock::default(),
            clock,
            tasks,
        };
        TokenStore { inner: Arc::new(inner) }
    }

    /// Stores something together with every change from now on: its event in a stream, in the same atomic batch.
    pub fn record_with(&self, recorder: impl Fn(&Change, &mut Batch) + Send + Sync + 'static) {
        *self.inner.recorder.write() = Some(Arc::new(recorder));
    }

    /// Reads the tokens of a store. One that cannot be read is left out, loudly: it opens nothing, and the others do.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn open(&self, store: Arc<dyn Store>) -> Result<(), StoreError> {
        let mut tokens = Tokens::default();
        for (key, value) in store.range(Table::State, all(), all().end(), MAX_TOKENS).await? {
            let mut parts = key.read();
            let id = parts.text().and_then(|_| parts.text()).unwrap_or_default();
            match Token::decode(id, &value) {
                Ok(token) => tokens.insert(token),
                Err(error) => tracing::error!(target: "waybill::audit", id, "{error}; it opens nothing"),
            }
        }
        *self.inner.store.lock().await = Some(store);
        self.inner.tokens.store(Some(Arc::new(tokens)));
        Ok(())
    }

    fn tokens(&self) -> Option<Arc<Tokens>> {
        self.inner.tokens.load_full()
    }

    pub(crate) fn proved_by(&self, hash: &BearerHash) -> Result<Option<Arc<Token>>, Refusal> {
        let tokens = self.inner.tokens.load();
        let tokens = tokens.as_ref().ok_or(Refusal::NotReady)?;
        Ok(tokens.proved_by(hash).cloned())
    }

    /// Those that the caller reaches, the oldest first; with this metadata, where it is given.
    ///
    /// # Errors
    /// [`TokenError::NotReady`].
    pub fn list(&self, caller: &Caller, metadata: Option<&str>) -> Result<Vec<Arc<Token>>, TokenError> {
        let tokens = self.tokens().ok_or(TokenError::NotReady)?;
        let wanted = |token: &&Arc<Token>| {
            caller.reaches(token.grant.tenant()) && metadata.is_none_or(|metadata| token.metadata == metadata)
        };
        Ok(tokens.iter().filter(wanted).cloned().collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// [`TokenError::NotFound`], [`TokenError::NotReady`].
    pub fn get(&self, caller: &Caller, id: TokenId) -> Result<Arc<Token>, TokenError> {
        let tokens = self.tokens().ok_or(TokenError::NotReady)?;
        let found = tokens.get(id).filter(|token| caller.reaches(token.grant.tenant()));
        found.cloned().ok_or(TokenError::NotFound(id))
    }

    /// Makes a token. Without a list it allows what the caller may do, but for what has to be named ([`Acl::harmless`]);
    /// without a tenant it is confined as the caller is.
    ///
    /// # Errors
    /// When it would allow more than the caller may, is too large or one too many, or cannot be stored.
    pub async fn create(
        &self,
        caller: &Caller,
        metadata: String,
        acl: Option<Acl>,
        tenant: Option<String>,
    ) -> Result<(Token, Bearer), TokenError> {
        let acl = acl.unwrap_or_else(|| caller.grant().acl().harmless());
        let tenant = tenant.or_else(|| caller.tenant().map(str::to_owned));
        let (token, bearer) = Token::issue(self.inner.clock.now(), metadata, Grant::new(acl, tenant)?)
            .map_err(|error| TokenError::Failed(error.to_string()))?;
        token.check()?;
        let made = token.clone();
        self.change(caller, move |tokens, by| {
            may_grant(by, &made.grant)?;
            if tokens.len() >= MAX_TOKENS {
                return Err(TokenError::Count);
            }
            Ok((None, Some(made)))
        })
        .await?;
        Ok((token, bearer))
    }

    /// Changes a token; its secret stays.
    ///
    /// # Errors
    /// When there is none, the caller has less than it allows, before or then, or it cannot be stored.
    pub async fn update(&self, caller: &Caller, id: TokenId, update: TokenUpdate) -> Result<Token, TokenError> {
        let change = self.change(caller, move |tokens, by| {
            let old = reached(tokens, by, id)?;
            let mut new = old.clone();
            if let Some(metadata) = update.metadata {
                new.metadata = metadata;
            }
            if let Some(acl) = update.acl {
                let tenant = old.grant.tenant().map(str::to_owned);
                new.grant = Grant::new(acl, tenant)?;
            }
            may_grant(by, &new.grant)?;
            new.check()?;
            Ok((Some(old), Some(new)))
        });
        change.await?.new.ok_or(TokenError::NotFound(id))
    }

    /// Deletes a token: from then on it is not known. Gives what it was.
    ///
    /// # Errors
    /// When there is none, the caller has less than it allows, or that cannot be stored.
    pub async fn delete(&self, caller: &Caller, id: TokenId) -> Result<Token, TokenError> {
        let change = self.change(caller, move |tokens, by| Ok((Some(reached(tokens, by, id)?), None)));
        change.await?.old.ok_or(TokenError::NotFound(id))
    }

    /// Runs a change to its end, also when this future is dropped: what is on disk and in memory must not part.
    async fn change(
        &self,
        caller: &Caller,
        decide: impl FnOnce(&Tokens, &Caller) -> Result<OldAndNew, TokenError> + Send + 'static,
    ) -> Result<Change, TokenError> {
        let (done, result) = oneshot::channel();
        let (inner, by) = (self.inner.clone(), caller.clone());
        self.inner.tasks.spawn("change of a token", async move {
            // Nobody is left to hear it when the client hung up.
            let _ = done.send(inner.apply(by, decide).await);
        });
        result.await.unwrap_or_else(|_| Err(TokenError::Failed("the daemon is being stopped".to_owned())))
    }
}

impl Inner {
    async fn apply(
        &self,
        by: Caller,
        decide: impl FnOnce(&Tokens, &Caller) -> Result<OldAndNew, TokenError>,
    ) -> Result<Change, TokenError> {
        let guard = self.store.lock().await;
        let store = guard.as_ref().ok_or(TokenError::NotReady)?;
        let mut tokens = Tokens::clone(&*self.tokens.load_full().ok_or(TokenError::NotReady)?);
        let by = by.at_present(&tokens)?;
        let (old, new) = decide(&tokens, &by)?;
        let change = Change { old, new, by };
        let mut batch = Batch::new();
        match (&change.new, change.id()) {
            (Some(token), _) => {
                batch.set(Table::State, key(token.id), token.encode());
                tokens.insert(token.clone());
            }
            (None, Some(id)) => {
                batch.unset(Table::State, key(id));
                tokens.remove(id);
            }
            (None, None) => return Ok(change),
        }
        let recorder = self.recorder.read().clone();
        if let Some(recorder) = recorder {
            recorder(&change, &mut batch);
        }
        store.commit(batch, Durability::Synced).await?;
        self.tokens.store(Some(Arc::new(tokens)));
        change.tell();
        Ok(change)
    }
}

impl Caller {
    /// With what its token allows at this moment: another change may have come first, and taken it away.
    fn at_present(self, tokens: &Tokens) -> Result<Self, TokenError> {
        let Origin::Token(id) = self.origin else { return Ok(self) };
        let gone = || TokenError::NotAllowed("the token that asks was deleted".to_owned());
        let grant = tokens.get(id).ok_or_else(gone)?.grant.clone();
        Ok(Caller { grant, ..self })
    }
}

/// A token that the caller may change: it does not see those of other tenants, and cannot touch those that allow more.
fn reached(tokens: &Tokens, caller: &Caller, id: TokenId) -> Result<Token, TokenError> {
    let found = tokens.get(id).filter(|token| caller.reaches(token.grant.tenant()));
    let token = found.ok_or(TokenError::NotFound(id))?;
    may_grant(caller, &token.grant)?;
    Ok(Token::clone(token))
}

fn may_grant(caller: &Caller, wanted: &Grant) -> Result<(), TokenError> {
    if caller.grant().includes(wanted) {
        return Ok(());
    }
    let lines = wanted.acl().permissions().iter();
    let beyond = lines.filter(|line| !caller.grant().acl().includes(&[Permission::clone(line)].into_iter().collect()));
    let mut beyond: Vec<String> = beyond.take(8).map(ToString::to_string).collect();
    if !caller.reaches(wanted.tenant()) {
        beyond.push(wanted.tenant().map_or_else(|| "every tenant".to_owned(), |tenant| format!("tenant {tenant:?}")));
    }
    Err(TokenError::NotAllowed(beyond.join(", ")))
}

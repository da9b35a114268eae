//! Decides who may enter rooms, before a room is opened or wakes: by tokens, by the answer of a URL, or by a function of the program.

mod auth_url;
mod claims;
mod entry;
mod exchange;
mod json;
mod key;
mod queue;
mod token;
mod tokens;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

pub use auth_url::AuthUrl;
pub use claims::Claims;
pub use entry::Entry;
pub(crate) use entry::{EntryRequest, TOKEN_PROTOCOL, token_of};
pub use key::{SigningKey, TokenKey};
pub use tokens::Tokens;

type Answer = Pin<Box<dyn Future<Output = Result<Claims, Denial>>>>;

/// Decides who may enter rooms: see [`Settings::access`](crate::Settings::access).
///
/// ```
/// use stateroom_server_smol::{Access, Claims, Denial, Server};
///
/// let access = Access::new(async |entry| match entry.token() {
///     // A real one asks a database. Other clients and rooms go on meanwhile.
///     Some("open sesame") if entry.room() == "lobby" => Claims::of([("sub", "ada")]).map_err(Denial::Unavailable),
///     Some(_) => Err(Denial::Forbidden("this is for others".to_owned())),
///     None => Err(Denial::Unauthenticated("say the word".to_owned())),
/// });
/// let server = Server::new().with_access(Some(access));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Access {
    check: Check,
    cookie: Option<Box<str>>,
    query: Option<Box<str>>,
}

#[derive(Clone)]
enum Check {
    Tokens(Tokens),
    Url(AuthUrl),
    Function(Arc<dyn Fn(Entry) -> Answer + Send + Sync>),
}

/// The reason why a client may not enter. The text is for people who write clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denial {
    /// The client has not said who it is, or that is no longer true: 401.
    Unauthenticated(String),
    /// The client may not enter this room: 403.
    Forbidden(String),
    /// It cannot be found out now: 503.
    Unavailable(String),
}

/// The reason why a client does not enter.
#[derive(Debug)]
pub(crate) enum Refused {
    Denied(Denial),
    /// It cannot be found out, for a reason that is the operator's alone. It is new if it could be found out for the one before.
    Unknown {
        reason: String,
        is_new: bool,
    },
    /// Too many others wait until it is found out whether they may.
    TooMany,
}

impl Access {
    /// Lets those in for whom `check` returns claims. It has ten seconds; after that the client gets a 503.
    pub fn new<F>(check: impl Fn(Entry) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Claims, Denial>> + 'static,
    {
        Self::of(Check::Function(Arc::new(move |entry| Box::pin(check(entry)))))
    }

    /// Lets those in who have a token.
    pub fn with_tokens(tokens: Tokens) -> Self {
        Self::of(Check::Tokens(tokens))
    }

    /// Lets those in whom a server of the operator's lets in.
    pub fn with_url(url: AuthUrl) -> Self {
        Self::of(Check::Url(url))
    }

    fn of(check: Check) -> Self {
        Self { check, cookie: None, query: None }
    }

    /// Also takes tokens from a cookie of this name.
    ///
    /// Browsers send cookies along with requests of any page. So it contradicts [`AllowedOrigin::ANY`](crate::AllowedOrigin::ANY).
    pub fn with_cookie(mut self, name: &str) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// Also takes tokens from a parameter of this name in the query. Rooms do not see it.
    ///
    /// URLs are often logged, by proxies for example.
    pub fn with_query(mut self, name: &str) -> Self {
        self.query = Some(name.into());
        self
    }

    /// Returns the tokens with which clients enter, if they do. Their keys can be replaced while the server runs.
    #[must_use]
    pub fn tokens(&self) -> Option<&Tokens> {
        match &self.check {
            Check::Tokens(tokens) => Some(tokens),
            _ => None,
        }
    }

    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    pub(crate) async fn check(&self, request: &EntryRequest<'_>) -> Result<Claims, Refused> {
        match &self.check {
            Check::Tokens(tokens) => tokens.check(request).await.map_err(Refused::Denied),
            Check::Url(url) => url.ask(request).await,
            Check::Function(check) => check(request.to_entry()).await.map_err(Refused::Denied),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("cookie", &self.cookie)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::{Claims, Denial, EntryRequest, TokenKey, token::Rules};

/// Tokens with which clients enter: JSON Web Tokens (RFC 7519) with the claims `exp` and `room` or `rooms`, which others sign.
///
/// `room` is the id of a room, or a list of ids. `rooms` is the beginning of ids with a `*` behind it, or a list of those. `exp` is the time at which the token expires. It has to be
/// valid when a connection begins, also one that resumes a session. A connection outlives its token.
///
/// ```
/// use stateroom_server_smol::{Access, Claims, Server, SigningKey, TokenKey, Tokens};
///
/// let secret = b"a secret that nobody else knows, of 32 bytes or more";
/// let tokens = Tokens::new([TokenKey::read(secret, None)?]);
/// let server = Server::new().with_access(Some(Access::with_tokens(tokens)));
///
/// // Elsewhere, for a user who may enter:
/// let claims = Claims::from_json(r#"{"room":"lobby","sub":"ada","exp":1893456000}"#)?;
/// let token = SigningKey::read(secret, None)?.token(&claims);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Tokens {
    keys: Arc<RwLock<Arc<[TokenKey]>>>,
    audience: Option<Box<str>>,
}

impl Tokens {
    /// Takes tokens that one of these keys has signed. A few are enough: a token without `kid` may have to be compared with each.
    pub fn new(keys: impl IntoIterator<Item = TokenKey>) -> Self {
        Self { keys: Arc::new(RwLock::new(keys.into_iter().collect())), audience: None }
    }

    /// Takes only tokens whose claim `aud` has this name. Without it, tokens with the claim are refused.
    pub fn with_audience(mut self, audience: Option<&str>) -> Self {
        self.audience = audience.map(Box::from);
        self
    }

    /// Replaces the keys, for all clones of this.
    pub fn set_keys(&self, keys: impl IntoIterator<Item = TokenKey>) {
        let keys = keys.into_iter().collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    pub(super) async fn check(&self, request: &EntryRequest<'_>) -> Result<Claims, Denial> {
        let Some(token) = request.token.as_deref() else {
            return Err(Denial::Unauthenticated(
                "a token is needed here: in the subprotocol `stateroom.token.TOKEN`, beside `stateroom.token`, or in `Authorization: Bearer TOKEN`".to_owned(),
            ));
        };
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0.0, |time| time.as_secs_f64());
        Rules { keys: &keys, audience: self.audience.as_deref(), room: request.room, now }.check(token).await
    }
}

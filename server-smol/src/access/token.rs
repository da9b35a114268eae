//! Reads and makes JSON Web Tokens (RFC 7519).

use data_encoding::BASE64URL_NOPAD as BASE64;
use serde_json::{Map, Value};
use smol::future::yield_now;

use super::{Claims, Denial, SigningKey, TokenKey, json::Object};

/// The largest size of a token, in bytes.
const MOST: usize = 8 << 10;

/// The time by which the clocks of two machines may differ, in seconds.
const LEEWAY: f64 = 30.0;

/// The rules for a token.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) keys: &'a [TokenKey],
    pub(super) audience: Option<&'a str>,
    pub(super) room: &'a str,
    /// The time in seconds since 1970.
    pub(super) now: f64,
}

/// The part of the header of a token that is checked. The rest takes many times its size, and is not kept while others go on.
struct Header {
    algorithm: String,
    /// The name of the key.
    key: Option<String>,
}

impl Header {
    fn read(mut header: Map<String, Value>) -> Result<Self, &'static str> {
        // RFC 7515, section 4.1.11: who does not know what it means must refuse the token.
        if header.contains_key("crit") {
            return Err("the token has the header `crit`, which is not supported");
        }
        let key = match header.remove("kid") {
            None => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err("the token's `kid` is a text"),
        };
        let algorithm = match header.remove("alg") {
            Some(Value::String(name)) => name,
            _ => String::new(),
        };
        Ok(Self { algorithm, key })
    }
}

impl Rules<'_> {
    /// Returns the claims of a token.
    pub(super) async fn check(&self, token: &str) -> Result<Claims, Denial> {
        let claims = self.read(token).await.map_err(|reason| Denial::Unauthenticated(reason.to_owned()))?;
        if !self.allows_room(&claims) {
            return Err(Denial::Forbidden(
                "the token is for another room: its claim `room` is the id of a room or a list of ids, or `rooms` is the beginning of ids with a `*`, or a list of those".to_owned(),
            ));
        }
        Claims::new(&claims).map_err(Denial::Unauthenticated)
    }

    async fn read(&self, token: &str) -> Result<Map<String, Value>, &'static str> {
        if token.len() > MOST {
            return Err("the token is too long");
        }
        let broken = "this is no token: it has three parts in base64url, and the first two are JSON objects";
        let (signed, signature) = token.rsplit_once('.').ok_or(broken)?;
        let (header, claims) = signed.split_once('.').ok_or(broken)?;
        let decode = |text: &str| BASE64.decode(text.as_bytes()).map_err(|_| broken);
        let header = Header::read(Object::parse(&decode(header)?).ok_or(broken)?)?;
        let signature = decode(signature)?;
        self.check_signature(&header, signed.as_bytes(), &signature).await?;
        let claims = Object::parse(&decode(claims)?).ok_or(broken)?;
        self.check_claims(&claims)?;
        Ok(claims)
    }

    async fn check_signature(
        &self,
        header: &Header,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), &'static str> {
        let is_meant = |key: &TokenKey| match (&key.name, &header.key) {
            (Some(own), Some(named)) => **own == **named,
            _ => true,
        };
        let mut keys = self.keys.iter().filter(|key| is_meant(key)).peekable();
        if keys.peek().is_none() {
            return Err("the token's `kid` names no key of this server");
        }
        let mut keys = keys.filter(|key| key.is_for(&header.algorithm)).peekable();
        if keys.peek().is_none() {
            return Err("the token's `alg` is not that of a key of this server");
        }
        for key in keys {
            if key.has_signed(signed, signature) {
                return Ok(());
            }
            // Each takes a while, and others go on meanwhile.
            yield_now().await;
        }
        Err("the token's signature is not that of a key of this server")
    }

    fn check_claims(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        let time = |name: &str, wrong| match claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(number.as_f64()),
            Some(_) => Err(wrong),
        };
        match time("exp", "the token's `exp` is a number of seconds")? {
            None => return Err("the token has no `exp`, and would be valid for ever"),
            Some(end) if end + LEEWAY <= self.now => return Err("the token has expired"),
            Some(_) => {}
        }
        if time("nbf", "the token's `nbf` is a number of seconds")?
            .is_some_and(|begin| begin - LEEWAY > self.now)
        {
            return Err("the token is not valid yet");
        }
        if claims.get("sub").is_some_and(|subject| !subject.is_string()) {
            return Err("the token's `sub` is a text");
        }
        // RFC 7519, section 4.1.3: a token for others is refused.
        let audiences = texts(claims.get("aud")).ok_or("the token's `aud` is a text, or a list of texts")?;
        let is_for_us = match self.audience {
            Some(own) => audiences.contains(&own),
            None => claims.get("aud").is_none(),
        };
        if !is_for_us {
            return Err("the token's `aud` is not this server's (`--auth-audience`)");
        }
        Ok(())
    }

    /// Returns whether the token is for the room.
    fn allows_room(&self, claims: &Map<String, Value>) -> bool {
        let named = |name| texts(claims.get(name)).unwrap_or_default();
        // Backends may put here what a user asks for, and ids may have a `*` in them.
        named("room").contains(&self.room)
            || named("rooms").into_iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => self.room.starts_with(beginning),
                None => pattern == self.room,
            })
    }
}

/// Returns a text or a list of texts. Returns `None` if it is something else.
fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![text]),
        Some(Value::Array(list)) => list.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

impl SigningKey {
    /// Returns a token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Claims) -> String {
        let mut header = Map::new();
        header.insert("alg".to_owned(), self.algorithm().into());
        header.insert("typ".to_owned(), "JWT".into());
        if let Some(name) = &self.name {
            header.insert("kid".to_owned(), (**name).into());
        }
        let header = BASE64.encode(Value::Object(header).to_string().as_bytes());
        let signed = format!("{header}.{}", BASE64.encode(claims.as_json().as_bytes()));
        let signature = BASE64.encode(&self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

#[cfg(test)]
mod tests;

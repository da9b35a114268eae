use serde_json::{Map, Value};

use super::json::Object;

/// The facts that are known about a client that may enter: its name, for example. Its room can
/// [ask for it](stateroom_core::StateroomContext::client_info), under the key `auth`, and for each claim under `auth:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    json: Box<str>,
    subject: Option<Box<str>>,
}

/// The claim that says who the client is.
const SUBJECT: &str = "sub";

/// The claims that differ in each token of a client: when it is valid, and its number.
const OF_THE_TOKEN: [&str; 4] = ["exp", "iat", "jti", "nbf"];

impl Claims {
    /// The largest size of all claims as JSON, in bytes.
    pub const MAX_SIZE: usize = 4 << 10;

    /// Reads the claims of a JSON object.
    ///
    /// # Errors
    /// Says what is wrong with them: it is no object, a name is there twice, or they are larger than [`MAX_SIZE`](Self::MAX_SIZE).
    pub fn from_json(json: &str) -> Result<Self, String> {
        Self::new(&Object::parse(json.as_bytes()).ok_or("the claims are a JSON object, with each name once")?)
    }

    /// Returns claims that are texts.
    ///
    /// # Errors
    /// They are larger than [`MAX_SIZE`](Self::MAX_SIZE).
    pub fn of<'a>(claims: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        Self::new(&claims.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
    }

    pub(super) fn new(object: &Map<String, Value>) -> Result<Self, String> {
        let json = serde_json::to_string(object).map_err(|error| error.to_string())?;
        if json.len() > Self::MAX_SIZE {
            return Err(format!("the claims have {} bytes, and may have {}", json.len(), Self::MAX_SIZE));
        }
        let subject = object.get(SUBJECT).and_then(Value::as_str).map(Box::from);
        Ok(Self { json: json.into(), subject })
    }

    /// Returns the claim `sub`: who the client is.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns all claims, as a JSON object.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.json
    }

    /// Returns a claim: a text as it is, and anything else as JSON.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        Object::parse(self.json.as_bytes())?.remove(name).map(text)
    }

    /// Calls `each` with all claims.
    pub(crate) fn each(&self, mut each: impl FnMut(&str, &str)) {
        for (name, value) in Object::parse(self.json.as_bytes()).into_iter().flatten() {
            each(&name, &text(value));
        }
    }

    /// Returns who the client is and what it may, as JSON: all claims but those of the token alone.
    pub(crate) fn identity(&self) -> String {
        let mut claims = Object::parse(self.json.as_bytes()).unwrap_or_default();
        claims.retain(|name, _| !OF_THE_TOKEN.contains(&&**name));
        Value::Object(claims).to_string()
    }

    /// Returns the memory for it, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.json.len() + self.subject.as_ref().map_or(0, |subject| subject.len())
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_claims_as_they_are_and_others_as_json() {
        let claims =
            Claims::from_json(r#" {"sub":"ada","n":1.5,"list":["a",{}],"no":null,"t":"\"é"} "#).unwrap();
        assert_eq!(claims.subject(), Some("ada"));
        let mut all = Vec::new();
        claims.each(|name, value| {
            assert_eq!(claims.get(name).as_deref(), Some(value));
            all.push(format!("{name}={value}"));
        });
        assert_eq!(all, ["list=[\"a\",{}]", "n=1.5", "no=null", "sub=ada", "t=\"é"]);
        assert_eq!(claims.get("none"), None);
    }

    #[test]
    fn another_token_of_the_same_client_is_the_same_identity() {
        let identity = |json| Claims::from_json(json).unwrap().identity();
        let first = identity(r#"{"sub":"ada","exp":1,"iat":1,"nbf":1,"jti":"a","role":"x"}"#);
        assert_eq!(first, identity(r#"{"role":"x","exp":2,"jti":"b","sub":"ada"}"#));
        for other in [r#"{"sub":"ada","role":"y"}"#, r#"{"sub":"ada"}"#, r#"{"role":"x"}"#, "{}"] {
            assert_ne!(first, identity(other));
        }
    }

    #[test]
    fn what_is_no_object_or_too_large_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
        for json in ["", "[]", "1", "{", r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, &deep] {
            assert!(Claims::from_json(json).is_err(), "{json}");
        }
        let text = "x".repeat(Claims::MAX_SIZE);
        assert!(Claims::of([("a", &*text)]).unwrap_err().contains("4096"));
        assert!(Claims::of([("a", &text[8..])]).is_ok());
    }
}

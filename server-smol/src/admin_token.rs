use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq as _;

/// The token with which the operator's requests are let in: see [`Settings::admin_token`](crate::Settings::admin_token).
///
/// ```
/// use stateroom_server_smol::AdminToken;
///
/// assert!(AdminToken::new("5dzYgTtSxOiJnVmXyqvlJA").is_ok());
/// assert!(AdminToken::new("secret").is_err());
/// ```
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

/// The fewest and the most bytes of a token.
const SIZES: std::ops::RangeInclusive<usize> = 16..=512;

impl AdminToken {
    /// Makes a token of at least 16 visible ASCII characters. White space around it does not belong to it.
    ///
    /// # Errors
    /// Says what is wrong with it, but nothing of it.
    pub fn new(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if !SIZES.contains(&token.len()) {
            return Err(format!(
                "has {} bytes, and a token has from 16 to 512: `openssl rand -hex 16` makes one",
                token.len()
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(
                "has other characters than visible ASCII: `openssl rand -hex 16` makes a token".to_owned()
            );
        }
        Ok(Self(token.into()))
    }

    /// Returns the token, for those who send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the value of the header `Authorization` has this token. It takes as long for all of its length.
    pub(crate) fn is_in(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked(7) else { return false };
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(self.0.as_bytes().ct_eq(given.trim_ascii()))
    }
}

/// Shows nothing of the token.
impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_visible() {
        for text in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf", &"a".repeat(513)] {
            assert!(AdminToken::new(text).is_err(), "{text}");
        }
        assert_eq!(AdminToken::new(" 0123456789abcdef\n").unwrap().as_str(), "0123456789abcdef");
    }

    #[test]
    fn only_the_same_token_is_let_in() {
        let token = AdminToken::new("0123456789abcdef").unwrap();
        assert!(token.is_in(b"Bearer 0123456789abcdef") && token.is_in(b"bearer  0123456789abcdef"));
        for other in ["", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Bearer 0123456789abcdef0"] {
            assert!(!token.is_in(other.as_bytes()), "{other}");
        }
        assert!(!token.is_in(b"0123456789abcdef") && !token.is_in(b"Basic  0123456789abcdef"));
        assert!(!format!("{token:?}").contains("0123"));
    }
}

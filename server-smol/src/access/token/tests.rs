use smol::block_on;

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const NOW: f64 = 1e9;

fn keys() -> [TokenKey; 2] {
    [TokenKey::read(SECRET, None).unwrap(), TokenKey::read(PUBLIC.as_bytes(), None).unwrap()]
}

fn check_with(keys: &[TokenKey], token: &str) -> Result<Claims, Denial> {
    block_on(Rules { keys, audience: None, room: "game-1", now: NOW }.check(token))
}

/// Signs any header and claims with the secret.
fn raw(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.as_bytes()), BASE64.encode(claims.as_bytes()));
    let key = SigningKey::read(SECRET, None).unwrap();
    format!("{signed}.{}", BASE64.encode(&key.sign(signed.as_bytes())))
}

fn refusal(token: &str) -> String {
    match check_with(&keys(), token) {
        Err(Denial::Unauthenticated(reason)) => reason,
        other => panic!("{token}: {other:?}"),
    }
}

const HS: &str = r#"{"alg":"HS256"}"#;
const GOOD: &str = r#"{"room":"game-1","exp":1000000001}"#;

#[test]
fn the_tokens_of_the_standards_are_read() {
    // RFC 8037, appendix A: the key and the signature of a text.
    let key = TokenKey::read(PUBLIC.as_bytes(), None).unwrap();
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert!(key.has_signed(signed.as_bytes(), &BASE64.decode(signature.as_bytes()).unwrap()));
    assert_eq!(
        BASE64.encode(&SigningKey::read(PRIVATE.as_bytes(), None).unwrap().sign(signed.as_bytes())),
        signature
    );
    // RFC 7515, appendix A.1.
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = TokenKey::read(&BASE64.decode(secret.as_bytes()).unwrap(), None).unwrap();
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = BASE64.decode(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
    assert!(key.has_signed(signed.as_bytes(), &signature));
    assert!(!key.has_signed(signed.as_bytes(), &signature[..31]));
    assert!(!key.has_signed(signed.as_bytes(), b""));
}

#[test]
fn what_is_signed_is_let_in() {
    let claims = Claims::from_json(GOOD).unwrap();
    for key in [SECRET, PRIVATE.as_bytes()] {
        let token = SigningKey::read(key, Some("any")).unwrap().token(&claims);
        assert_eq!(check_with(&keys(), &token), Ok(claims.clone()));
    }
    assert!(check_with(&keys(), &raw(HS, GOOD)).is_ok());
}

#[test]
fn the_key_decides_about_the_algorithm() {
    for algorithm in ["none", "None", "NONE", "", "HS384", "RS256", "EdDSA", "hs256"] {
        let token = raw(&format!(r#"{{"alg":"{algorithm}"}}"#), GOOD);
        assert!(check_with(&keys(), &token).is_err(), "{algorithm}");
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert!(check_with(&keys(), &format!("{signed}.")).is_err(), "{algorithm} without a signature");
    }
    for header in ["{}", r#"{"alg":1}"#, r#"{"alg":["HS256"]}"#, r#"{"alg":null}"#] {
        assert!(refusal(&raw(header, GOOD)).contains("`alg`"), "{header}");
    }
    // A public key is no secret.
    let confused = SigningKey::read(PUBLIC.replace("-----", "").as_bytes(), None).unwrap();
    let token = confused.token(&Claims::from_json(GOOD).unwrap());
    let public_only = [TokenKey::read(PUBLIC.as_bytes(), None).unwrap()];
    assert!(check_with(&public_only, &token).is_err());
    assert!(check_with(&keys(), &token).is_err());
}

#[test]
fn a_token_names_its_key() {
    let key = |secret: &str, name| TokenKey::read(secret.repeat(32).as_bytes(), name).unwrap();
    let keys = [key("a", Some("old")), key("b", Some("new"))];
    let token = |secret: &str, name: Option<&str>| {
        let key = SigningKey::read(secret.repeat(32).as_bytes(), name).unwrap();
        check_with(&keys, &key.token(&Claims::from_json(GOOD).unwrap())).is_ok()
    };
    assert!(token("a", Some("old")) && token("b", Some("new")) && token("a", None) && token("b", None));
    assert!(
        !token("a", Some("new"))
            && !token("b", Some("other"))
            && !token("c", Some("new"))
            && !token("c", None)
    );
    for kid in ["1", "null", "[\"old\"]", "{}"] {
        assert!(refusal(&raw(&format!(r#"{{"alg":"HS256","kid":{kid}}}"#), GOOD)).contains("`kid`"));
    }
}

#[test]
fn time_has_a_little_leeway() {
    let at = |claims: &str| check_with(&keys(), &raw(HS, &format!(r#"{{"rooms":"*",{claims}}}"#))).is_ok();
    assert!(at("\"exp\":999999971") && !at("\"exp\":999999970"));
    assert!(at("\"exp\":1e300") && at("\"exp\":1000000000.5") && !at("\"exp\":-1"));
    assert!(at("\"exp\":2e9,\"nbf\":1000000030") && !at("\"exp\":2e9,\"nbf\":1000000031"));
    for wrong in [
        "\"exp\":\"2000000000\"",
        "\"exp\":null",
        "\"exp\":true",
        "\"iat\":1",
        "\"exp\":2e9,\"nbf\":\"1\"",
        "\"exp\":[2e9]",
    ] {
        assert!(!at(wrong), "{wrong}");
    }
    assert_eq!(refusal(&raw(HS, r#"{"rooms":"*","exp":1}"#)), "the token has expired");
}

#[test]
fn a_token_is_for_its_rooms() {
    let room = |room: &str| check_with(&keys(), &raw(HS, &format!(r#"{{"exp":2e9,"room":{room}}}"#)));
    for good in [r#""game-1""#, r#"["x","game-1"]"#] {
        assert!(room(good).is_ok(), "{good}");
    }
    let rooms = |rooms: &str| check_with(&keys(), &raw(HS, &format!(r#"{{"exp":2e9,"rooms":{rooms}}}"#)));
    for good in [r#""game-*""#, r#""*""#, r#"["x","game-1"]"#, r#"["game-1*"]"#, r#""x","room":"game-1""#] {
        assert!(rooms(good).is_ok(), "{good}");
    }
    for other in [r#""game-2*""#, r#""*-1""#, r#""Game-*""#, r#"["game-*",1]"#, "{}", "[]"] {
        assert!(matches!(rooms(other), Err(Denial::Forbidden(_))), "{other}");
    }
    for other in [
        r#""game""#,
        r#""game-2""#,
        r#""Game-1""#,
        r#""*-1""#,
        r#""game-*""#,
        r#""*""#,
        r#"["*"]"#,
        r#""""#,
        "[]",
        "1",
        "null",
        r#"["game-1",1]"#,
        "{}",
    ] {
        assert!(matches!(room(other), Err(Denial::Forbidden(_))), "{other}");
    }
    assert!(matches!(check_with(&keys(), &raw(HS, r#"{"exp":2e9}"#)), Err(Denial::Forbidden(_))));
}

#[test]
fn a_token_is_for_its_audience() {
    let check = |audience, claim: &str| {
        let token = raw(HS, &format!(r#"{{"exp":2e9,"rooms":"*"{claim}}}"#));
        block_on(Rules { keys: &keys(), audience, room: "a", now: NOW }.check(&token)).is_ok()
    };
    assert!(check(None, "") && !check(None, r#","aud":"a""#) && !check(None, r#","aud":null"#));
    assert!(check(Some("a"), r#","aud":"a""#) && check(Some("a"), r#","aud":["b","a"]"#));
    assert!(
        !check(Some("a"), "") && !check(Some("a"), r#","aud":"b""#) && !check(Some("a"), r#","aud":["a",1]"#)
    );
}

#[test]
fn hostile_tokens_are_refused() {
    let deep = format!(r#"{{"rooms":"*","exp":2e9,"a":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let large = format!(r#"{{"rooms":"*","exp":2e9,"a":"{}"}}"#, "x".repeat(4 << 10));
    for claims in [
        r#"{"rooms":"*","exp":2e9,"exp":2e9}"#,
        r#"{"rooms":"*","rooms":"*","exp":2e9}"#,
        r#"{"rooms":"*","exp":2e9,"sub":1}"#,
        r#"{"rooms":"*","exp":2e9} x"#,
        "[]",
        "\"\"",
        "",
        &deep,
        &large,
    ] {
        refusal(&raw(HS, claims));
    }
    for header in [r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"alg":"HS256","crit":[]}"#, "[]", "", "null"] {
        refusal(&raw(header, GOOD));
    }
    let good = raw(HS, GOOD);
    let parts: Vec<_> = good.split('.').collect();
    let long = format!("{good}{}", "A".repeat(MOST));
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        &parts.join(""),
        &format!("{good}."),
        &format!(".{good}"),
        &format!("{good}="),
        &format!("{good} "),
        &format!("{}é", good),
        &good[..good.len() - 1],
        &good.replace('.', ","),
        &format!("{}.{}.{}", parts[0], parts[1].replace('J', "K"), parts[2]),
        &long,
    ] {
        assert!(check_with(&keys(), token).is_err(), "{token}");
    }
    // No two texts are the same token: the last character of a signature has unused bits.
    let last = good.bytes().last().unwrap();
    let twins = (b'0'..=b'z').filter(|byte| byte.is_ascii_alphanumeric() && *byte != last);
    for twin in twins {
        let twin = format!("{}{}", &good[..good.len() - 1], char::from(twin));
        assert!(check_with(&keys(), &twin).is_err(), "{twin}");
    }
    // Not one bit may change.
    for index in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        assert!(check_with(&keys(), str::from_utf8(&changed).unwrap()).is_err(), "{index}");
    }
}

#[test]
fn keys_that_are_none_are_refused_with_the_mend() {
    for (content, said) in [
        (&b"short"[..], "openssl rand"),
        (PRIVATE.as_bytes(), "-pubout"),
        (b"-----BEGIN PUBLIC KEY-----\nMCow", "damaged"),
        (b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----", "damaged"),
        (
            b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
            "ed25519",
        ),
        (b"-----BEGIN RSA PRIVATE KEY-----\nMCow\n-----END RSA PRIVATE KEY-----", "ed25519"),
    ] {
        let error = TokenKey::read(content, None).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
    assert!(SigningKey::read(PUBLIC.as_bytes(), None).unwrap_err().contains("private"));
    let shown = format!("{:?} {:?}", keys(), SigningKey::read(SECRET, None));
    assert!(!shown.contains("012345") && !shown.contains("48, 49"), "{shown}");
}

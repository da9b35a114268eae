use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use rustix::process::Signal;
use serde_json::Value;
use stateroom_tests::{Child, Client, Directory, Output, binary};

use super::{PRIVATE, PUBLIC, SECRET, Server, bearer, in_seconds, run, signed, token, token_of};

#[test]
fn a_client_with_a_token_enters_and_its_room_knows_who_it_is() {
    let server = Server::start(&["--auth-key", "secret"]);
    let token = token(r#""rooms":"game-*","sub":"ada","level":7"#);
    let (_client, [all, subject, level, query]) = server.enter("/ws/game-1?a=b", &[&bearer(&token)]);
    let all: Value = serde_json::from_str(all.strip_prefix("auth is ").expect("claims")).expect("JSON");
    assert_eq!((&all["rooms"], &all["sub"], &all["level"]), (&"game-*".into(), &"ada".into(), &7.into()));
    assert_eq!([subject, level, query], ["auth:sub is ada", "auth:level is 7", "query is a=b"]);
}

#[test]
fn who_has_no_good_token_is_refused_and_no_room_opens() {
    let server = Server::start(&["--auth-key", "secret"]);
    let (status, words) = server.refusal("/ws/a", &[]);
    assert!(status == 401 && words.contains("stateroom.token"), "{status} {words}");
    let room = r#""room":"a""#;
    let good = token(room);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let encoded = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let none = encoded(r#"{"alg":"none"}"#);
    let deep = encoded(&format!("{}{}", "[".repeat(2_000), "]".repeat(2_000)));
    for (token, status, said) in [
        (token(r#""room":"b""#), 403, "another room"),
        (token(r#""sub":"ada""#), 403, "`room`"),
        (token_of(&SECRET.replace('0', "1"), None, room), 401, "signature"),
        (token_of(PRIVATE, None, room), 401, "`alg`"),
        (signed(SECRET, None, &format!(r#"{room},"exp":{}"#, in_seconds(-31))), 401, "expired"),
        (signed(SECRET, None, room), 401, "no `exp`"),
        (signed(SECRET, None, &format!(r#"{room},"exp":"9999999999""#)), 401, "`exp` is a number"),
        (token(&format!(r#"{room},"nbf":{}"#, in_seconds(60))), 401, "not valid yet"),
        (token(&format!(r#"{room},"aud":"others""#)), 401, "`aud`"),
        (token(&format!(r#"{room},"sub":7"#)), 401, "`sub`"),
        (format!("{none}.{claims}."), 401, "`alg`"),
        (format!("{none}.{claims}.{signature}"), 401, "`alg`"),
        (format!("{header}.{claims}"), 401, "three parts"),
        (format!("{header}.{claims}.{signature}="), 401, "three parts"),
        (format!("{header}.{claims}.!"), 401, "three parts"),
        (format!("{deep}.{claims}.{signature}"), 401, "three parts"),
        (format!("{good}.{claims}"), 401, "signature"),
        ("x".repeat(9_000), 401, "too long"),
    ] {
        for header in
            [bearer(&token), format!("Sec-WebSocket-Protocol: stateroom.token, stateroom.token.{token}")]
        {
            let (found, words) = server.refusal("/ws/a", &[&header]);
            assert!(found == status && words.contains(said), "{token} {found} {words}");
        }
    }
    assert_eq!(server.rooms(), 0);
    server.enter("/ws/a", &[&bearer(&good)]);
    // A little later it is still good: clocks differ.
    let late = signed(SECRET, None, &format!(r#"{room},"exp":{}"#, in_seconds(-20)));
    server.enter("/ws/a", &[&bearer(&late)]);
    assert_eq!(server.rooms(), 1);
}

#[test]
fn rooms_on_disk_remember_who_came() {
    let server = Server::start(&["--auth-key", "secret", "--data", "data"]);
    let token = token(r#""room":"a","sub":"ada""#);
    let (mut client, _) = server.enter("/ws/a", &[&bearer(&token)]);
    assert_eq!(client.ask("who"), "ada");
    server.child.signal(Signal::KILL);
    let Server { child, directory, .. } = server;
    drop(child);
    let server = Server::start_in(directory, &["--auth-key", "secret", "--data", "data"]);
    // Its events have run again. Who resumes or comes has to be let in all the same.
    assert_eq!(server.refusal("/ws/a", &[]).0, 401);
    assert_eq!(server.rooms(), 0, "it does not wake for those who are refused");
    let (_client, known) = server.enter("/ws/a", &[&bearer(&token)]);
    assert_eq!(known[1], "auth:sub is ada");
}

#[test]
fn a_room_on_disk_is_the_same_when_its_events_run_again() {
    let server = Server::start(&["--auth-key", "secret", "--data", "data"]);
    let ada = token(r#""room":"a","sub":"ada""#);
    let (client, _) = server.enter("/ws/a", &[&bearer(&ada)]);
    drop(client);
    let (_, directory) = server.log();
    stateroom_tests::wait_until_unused(&directory.path().join("data"));
    let export = run(directory.path(), &["rooms", "export", "a", "--data", "data", "-o", "a.room"]);
    export.expect("it is exported");
    let replayed = run(directory.path(), &["replay", "a.room"]).expect("its events run again");
    assert!(replayed.contains("auth:sub is ada"), "{replayed}");
}

#[test]
fn a_token_comes_from_a_subprotocol_a_cookie_or_the_query_if_that_is_wanted() {
    let server = Server::start(&["--auth-key", "secret", "--auth-cookie", "room", "--auth-query", "t"]);
    let token = token(r#""rooms":"*""#);
    for (offered, selected) in [
        (format!("stateroom.token, stateroom.token.{token}"), Some("stateroom.token")),
        (format!("stateroom.token.{token},stateroom.token"), Some("stateroom.token")),
        (format!("stateroom.v1, stateroom.token.{token}"), Some("stateroom.v1")),
        (format!("stateroom.token.{token}"), None),
    ] {
        let header = format!("Sec-WebSocket-Protocol: {offered}");
        let client = Client::connect_with(server.address, "/ws/a", &[&header]).expect("it enters");
        assert_eq!(client.protocol(), selected, "{offered}");
    }
    server.enter("/ws/a", &[&format!("Cookie: x=y; room={token}")]);
    // Its room sees the rest of the query alone.
    let (_client, known) = server.enter(&format!("/ws/a?x=1&t={token}&y=2"), &[]);
    assert_eq!(known[3], "query is x=1&y=2");
    let (_client, known) = server.enter(&format!("/ws/a?t={token}"), &[]);
    assert_eq!(known[3], "query is nothing");
    let plain = Server::start(&["--auth-key", "secret"]);
    assert_eq!(plain.refusal(&format!("/ws/a?t={token}"), &[]).0, 401);
    assert_eq!(plain.refusal("/ws/a", &[&format!("Cookie: room={token}")]).0, 401);
    // Nobody needs to offer the name of a protocol that is not in use.
    assert_eq!(plain.refusal("/ws/a", &["Sec-WebSocket-Protocol: stateroom.token"]).0, 401);
}

#[test]
fn only_so_many_tokens_can_be_tried_to_create_rooms() {
    let server = Server::start(&["--auth-key", "secret", "--room-rate", "1"]);
    let statuses: Vec<_> = (0..20).map(|_| server.ask("POST", "/new_room", &[]).status).collect();
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn only_pages_of_chosen_origins_send_cookies() {
    let chosen = "https://example.org";
    let server = Server::start(&[
        "--auth-key",
        "secret",
        "--auth-cookie",
        "c",
        "--allow-origin",
        chosen,
        "--admin",
        "127.0.0.1:0",
        "--playground",
    ]);
    let line = server.child.line(Output::Stderr, "the operator's status is at http://127.0.0.1:");
    // Any program of this machine may have the port later.
    let playground = format!("http://localhost:{}", line.split('/').next().expect("a port"));
    for (origin, credentials) in [(chosen, Some("true")), (&*playground, None)] {
        let answer = server.ask("GET", "/status", &[&format!("Origin: {origin}")]);
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{origin}");
    }
}

#[test]
fn rooms_are_created_with_a_token_alone() {
    let server = Server::start(&["--auth-key", "secret", "--room-ids", "explicit"]);
    let page = "Origin: http://localhost";
    for path in ["/ws/a", "/new_room"] {
        let refused = server.ask("POST", path, &[page]);
        assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
        // A page can read why.
        assert_eq!(refused.header("access-control-allow-origin"), Some("http://localhost"));
    }
    let (one, all) = (bearer(&token(r#""room":"a""#)), bearer(&token(r#""rooms":"*""#)));
    assert_eq!(server.ask("POST", "/ws/b", &[&one]).status, 403);
    assert_eq!(server.ask("POST", "/new_room", &[&one]).status, 403);
    assert_eq!(server.rooms(), 0);
    assert_eq!(server.ask("POST", "/ws/a", &[&one]).status, 201);
    assert_eq!(server.ask("POST", "/ws/a", &[&one]).status, 409);
    assert_eq!(server.ask("POST", "/new_room", &[&all]).status, 201);
    // Who may not enter does not learn which rooms there are, and a plain request says why a WebSocket is refused.
    for path in ["/ws/a", "/ws/none"] {
        assert_eq!(server.ask("GET", path, &[]).status, 401, "{path}");
    }
    assert_eq!(server.ask("GET", "/ws/none", &[&all]).status, 404);
    assert_eq!(server.ask("GET", "/ws/a", &[&all]).status, 426);
    assert_eq!(server.ask("GET", "/status", &[]).status, 200);
}

#[test]
fn keys_are_changed_without_an_end() {
    let new = "f".repeat(32);
    let server = Server::start(&["--auth-key", "a=secret", "--auth-key", "b=public.pem"]);
    let claims = r#""rooms":"*""#;
    let old = token_of(SECRET, Some("a"), claims);
    for (token, status) in [
        (&old, 101),
        (&token_of(SECRET, None, claims), 101),
        (&token_of(PRIVATE, Some("b"), claims), 101),
        (&token_of(PRIVATE, Some("a"), claims), 401),
        (&token_of(SECRET, Some("c"), claims), 401),
        (&token_of(&new, Some("a"), claims), 401),
    ] {
        assert_eq!(server.refusal("/ws/a", &[&bearer(token)]).0, status);
    }
    let (mut client, _) = server.enter("/ws/a", &[&bearer(&old)]);
    // What is no key changes nothing.
    std::fs::write(server.directory.path().join("secret"), "short").expect("a file");
    server.child.signal(Signal::HUP);
    let line = server.child.line(Output::Stderr, "the previous module is still served: ");
    assert!(line.contains("has 5 bytes") && line.contains("secret"), "{line}");
    assert_eq!(server.refusal("/ws/a", &[&bearer(&old)]).0, 101);
    std::fs::write(server.directory.path().join("secret"), &new).expect("a file");
    server.child.signal(Signal::HUP);
    server.child.line(Output::Stderr, "replaced the module");
    assert_eq!(server.refusal("/ws/a", &[&bearer(&old)]).0, 401);
    assert_eq!(server.refusal("/ws/a", &[&bearer(&token_of(&new, Some("a"), claims))]).0, 101);
    // Who is in a room stays there.
    assert_eq!(client.ask("hello"), "hello");
}

#[test]
fn a_session_is_resumed_by_who_began_it_and_only_with_a_valid_token() {
    let server = Server::start(&["--auth-key", "secret"]);
    let open = |session: &str, token: &str| {
        let offered = format!(
            "Sec-WebSocket-Protocol: stateroom.v1, stateroom.session.{session}, stateroom.token.{token}"
        );
        Client::connect_with(server.address, "/ws/a", &[&offered]).map(|mut client| {
            let greeting = client.next_text();
            let greeting: Value = serde_json::from_str(&greeting[1..]).expect("JSON");
            assert_eq!(greeting["session"], session.split('.').next().expect("a secret"));
            (client, greeting["resumed"].as_bool().expect("true or false"), greeting["client"].clone())
        })
    };
    let ada = token(r#""room":"a","sub":"ada""#);
    let (client, resumed, id) = open("0123456789abcdefghij", &ada).expect("it enters");
    assert!(!resumed);
    client.hang_up();
    // The token that the session began with may have expired meanwhile, and another one does.
    let renewed = token(r#""room":"a","sub":"ada","jti":"2""#);
    let (client, resumed, same) = open("0123456789abcdefghij.0.1.0", &renewed).expect("it enters");
    assert!(resumed && same == id);
    client.hang_up();
    // Whoever else knows the session does not become ada.
    let bob = token(r#""room":"a","sub":"bob""#);
    let (_bob, resumed, other) = open("0123456789abcdefghij.0.2.0", &bob).expect("it enters");
    assert!(!resumed && other != id);
    let late = token_of(SECRET, None, r#""room":"a","sub":"ada","nbf":9999999999"#);
    assert_eq!(open("0123456789abcdefghij.0.3.0", &late).expect_err("it is not valid").status, 401);
    // Nor who is nobody, also with the SHA-256 of the session and `ada`, nor ada with other rights.
    let nobody = token(r#""room":"a""#);
    let (_nobody, resumed, none) = open("0123456789abcdefghij.0.2.0", &nobody).expect("it enters");
    assert!(!resumed && none != id && none != other);
    assert!(!open("47thfTMpJI05LoRoXO07GDIXkSmJzL_yC8-VFm36ChA.0.2.0", &nobody).expect("it enters").1);
    let lesser = token(r#""room":"a","sub":"ada","role":"guest""#);
    let (_lesser, resumed, guest) = open("0123456789abcdefghij.0.2.0", &lesser).expect("it enters");
    assert!(!resumed && guest != id);
    let elsewhere = token(r#""room":"b","sub":"ada""#);
    assert_eq!(open("0123456789abcdefghij.0.3.0", &elsewhere).expect_err("another room").status, 403);
    let (_client, resumed, same) = open("0123456789abcdefghij.0.3.0", &ada).expect("it enters");
    assert!(resumed && same == id);
}

#[test]
fn tokens_and_keys_are_in_no_log_and_in_no_recording() {
    let directory = Directory::new().with("known.wasm", super::module()).with("secret", SECRET);
    let options = [
        "--auth-key",
        "secret",
        "--auth-query",
        "t",
        "--auth-cookie",
        "c",
        "--record",
        "a",
        "--color",
        "never",
    ];
    let server = Server::start_in(directory, &options);
    let token = token(r#""room":"a","sub":"ada-of-the-token""#);
    let wrong = format!("{token}wrong");
    server.enter(&format!("/ws/a?t={token}"), &[]);
    server.enter(
        "/ws/a",
        &[&format!("Cookie: c={token}"), &format!("Sec-WebSocket-Protocol: x, stateroom.token.{token}")],
    );
    for (path, header) in [
        (format!("/ws/a?t={wrong}"), "X: y".to_owned()),
        ("/ws/a".into(), format!("Cookie: c={wrong}")),
        ("/ws/a".into(), format!("Sec-WebSocket-Protocol: stateroom.token.{wrong}")),
        ("/ws/a".into(), bearer(&wrong)),
        (format!("/none?t={token}"), bearer(&token)),
    ] {
        let answer = server.ask("GET", &path, &[&header]);
        assert!(!answer.text().contains(&token[30..]), "{answer:?}");
    }
    let (log, directory) = server.log();
    assert!(log.contains("is not let into room \"a\""), "{log}");
    for secret in [&token[60..100], &token[token.len() - 20..], &SECRET[..20]] {
        assert!(!log.contains(secret), "{log}");
    }
    let recordings = std::fs::read_dir(directory.path().join("recordings")).expect("a directory");
    let recordings: Vec<_> =
        recordings.map(|file| std::fs::read(file.expect("a file").path()).expect("it can be read")).collect();
    let contains = |text: &str| {
        recordings.iter().any(|file| file.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    assert!(contains("ada-of-the-token"), "the event has what the room has seen");
    assert!(!contains(&token[60..100]) && !contains(&token[token.len() - 20..]));
}

#[test]
fn the_command_makes_tokens() {
    let server =
        Server::start(&["--auth-key", "secret", "--auth-key", "k=public.pem", "--auth-audience", "rooms"]);
    let make = |arguments: &[&str]| run(server.directory.path(), &[&["token"], arguments].concat());
    for key in ["secret", "env:ROOM_KEY", "private.pem", "k=private.pem"] {
        let arguments = [
            "a",
            "--rooms",
            "b-*",
            "--key",
            key,
            "--sub",
            "ada",
            "--claim",
            "level=7",
            "--audience",
            "rooms",
        ];
        let token = make(&arguments).expect("a token");
        let (_client, known) = server.enter("/ws/b-1", &[&bearer(&token)]);
        assert_eq!(known[1..3], ["auth:sub is ada", "auth:level is 7"]);
        assert_eq!(server.refusal("/ws/a", &[&bearer(&token)]).0, 101);
        assert_eq!(server.refusal("/ws/c", &[&bearer(&token)]).0, 403);
    }
    // The id of a room is no pattern, whatever a user has asked for.
    let token = make(&["*", "b-*", "--key", "secret", "--audience", "rooms"]).expect("a token");
    for (path, status) in [("/ws/a", 403), ("/ws/b-1", 403), ("/ws/*", 101), ("/ws/b-*", 101)] {
        assert_eq!(server.refusal(path, &[&bearer(&token)]).0, status, "{path}");
    }
    for (more, said) in
        [(&["--expires", "0", "--audience", "rooms"][..], 101), (&["--audience", "other"], 401), (&[], 401)]
    {
        let token = make(&[&["a", "--key", "secret"], more].concat()).expect("a token");
        assert_eq!(server.refusal("/ws/a", &[&bearer(&token)]).0, said, "{more:?}");
    }
    for (arguments, said) in [
        (&["a", "--key", "none"][..], "env:NAME"),
        (&["a", "--key", "env:NO_SUCH_KEY"], "NO_SUCH_KEY"),
        (&["a", "--key", "public.pem"], "private"),
        (&["a", "--key", "secret", "--claim", "exp=1"], "of its own"),
        (&["--key", "secret"], "ROOM"),
    ] {
        let error = make(arguments).expect_err("it fails");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_cannot_be_checked_is_not_served() {
    let directory = Directory::new()
        .with("known.wasm", super::module())
        .with("short", "1234567")
        .with("private.pem", PRIVATE)
        .with("public.pem", PUBLIC)
        .with("secret", SECRET);
    let serve = |options: &[&str]| {
        run(
            directory.path(),
            &[&["serve", "known.wasm", "--ip", "127.0.0.1", "--port", "0"], options].concat(),
        )
        .expect_err("it does not serve")
    };
    let nine = ["--auth-key", "secret"].repeat(9);
    for (options, said) in [
        (&["--auth-key", "short"][..], "has 7 bytes"),
        (&["--auth-key", "private.pem"], "-pubout"),
        (&["--auth-key", "none"], "env:NAME"),
        (&["--auth-key", "env:NO_SUCH_KEY"], "set `NO_SUCH_KEY`"),
        (&["--auth-cookie", "a"], "--auth-key"),
        (&["--auth-audience", "a"], "--auth-key"),
        (&["--auth-key", "secret", "--auth-url", "http://a"], "cannot be used with"),
        (&["--auth-url", "https://a"], "http alone"),
        (&["--auth-url", "http://127.0.0.1:90000/"], "port"),
        (&["--auth-key", "secret", "--auth-cookie", "a", "--allow-origin", "*"], "cookie of its visitor"),
        (&nine, "there may be 8"),
    ] {
        let error = serve(options);
        assert!(error.contains(said), "{options:?}: {error}");
    }
    // The secret itself, by mistake, is not repeated.
    let error = serve(&["--auth-key", SECRET]);
    assert!(error.contains("env:NAME"), "{error}");
}

#[test]
fn a_secret_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;

    for (mode, file, warns) in
        [(0o644, "secret", true), (0o640, "secret", false), (0o644, "public.pem", false)]
    {
        let directory = Directory::new()
            .with("known.wasm", super::module())
            .with("secret", SECRET)
            .with("public.pem", PUBLIC);
        let path = directory.path().join(file);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("it is ours");
        let mut command = Command::new(binary("stateroom"));
        let command =
            command.args(["serve", "known.wasm", "--ip", "127.0.0.1", "--port", "0", "--auth-key", file]);
        let child = Child::of(command.current_dir(directory.path()));
        let mut lines = Vec::new();
        while !lines.iter().any(|line: &String| line.contains("serving on ")) {
            lines.push(child.next_line(Output::Stderr));
        }
        let told = lines.iter().any(|line| line.contains("all users of this machine can read the key"));
        assert_eq!(told, warns, "{lines:?}");
    }
}

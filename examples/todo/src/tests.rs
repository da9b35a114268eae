use stateroom_sdk_core::testing::*;

use super::room;

const NO_PLACE: &str = r#""the list has no space for that""#;

/// Returns a client that has read the list as it was when it came.
fn client() -> TestClient {
    let client = room().connect();
    assert_eq!(client.received(), ["[]"]);
    client
}

#[test]
fn everyone_sees_every_change_and_newcomers_see_the_list() {
    let room = room();
    let one = room.connect();
    one.send(r#"{"add":"milk \u0001\u00e9"}"#);
    let milk = r#"[{"text":"milk \u0001é","done":false}]"#;
    assert_eq!(one.received(), ["[]", milk]);
    let two = room.connect();
    two.send(r#" { "done" : 0 } "#);
    two.send(r#"{"remove":0}"#);
    let done = milk.replace("false", "true");
    assert_eq!(one.received(), [&done, "[]"]);
    assert_eq!(two.received(), [milk, &done, "[]"]);
}

#[test]
fn what_is_no_request_is_answered_with_what_is_wrong_with_it() {
    let client = client();
    for (message, complaint) in [
        (
            r#"{"done":-1}"#,
            "invalid value: integer `-1`, expected usize at line 1 column 10",
        ),
        (
            r#"{"done":1.5e300}"#,
            "invalid type: floating point `1.5e+300`, expected usize at line 1 column 15",
        ),
        (
            r#"{"buy":"milk"}"#,
            "unknown variant `buy`, expected one of `add`, `done`, `remove` at line 1 column 6",
        ),
        ("", "EOF while parsing a value at line 1 column 0"),
    ] {
        client.send(message);
        let complaint = ["\"not the JSON that was expected: ", complaint, "\""].concat();
        assert_eq!(client.received(), [complaint]);
    }
    client.send(br#"{"add":"milk"}"#);
    assert_eq!(
        client.received(),
        [r#""a binary message, where JSON in text was expected""#]
    );
}

#[test]
fn the_list_is_bounded_and_so_are_its_entries() {
    let client = client();
    client.send(r#"{"done":0}"#);
    client.send([r#"{"add":""#, &"x".repeat(201), r#""}"#].concat());
    assert_eq!(client.received(), [NO_PLACE, NO_PLACE]);
    for _ in 0..100 {
        client.send([r#"{"add":""#, &"x".repeat(200), r#""}"#].concat());
    }
    assert_eq!(client.received().len(), 100);
    client.send(r#"{"add":""}"#);
    assert_eq!(client.received(), [NO_PLACE]);
}

#[test]
fn hostile_json_does_no_harm() {
    let client = client();
    for message in [
        "[".repeat(100_000),
        r#"{"add":"#.repeat(10_000),
        [r#"{""#, &"é".repeat(50_000), r#"":1}"#].concat(),
        r#"{"add":"\ud800"}"#.into(),
        [r#"{"done":"#, &"9".repeat(100_000), "}"].concat(),
        [r#"{"done":0."#, &"0".repeat(100_000), "1e-99999999999}"].concat(),
    ] {
        client.send(&message);
        let answers = client.received();
        assert!(
            matches!(&answers[..], [Message::Text(text)] if text.starts_with("\"not the JSON"))
        );
    }
    client.send(r#"{"add":"milk"}"#);
    assert_eq!(client.received(), [r#"[{"text":"milk","done":false}]"#]);
}

use super::room;

#[test]
fn whatever_is_said_comes_back_as_bytes() {
    let client = room().connect();
    client.send("hé");
    assert_eq!(client.received(), [[104, 195, 169]]);
    client.send([0, 255]);
    assert_eq!(client.received(), [[0, 255]]);
    client.send("");
    assert_eq!(client.received(), [[]]);
}

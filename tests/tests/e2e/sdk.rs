//! Guests in every form that the SDK takes, built from source.

use std::time::{SystemTime, UNIX_EPOCH};

use stateroom_sdk_core::{
    ClientId, DefaultStateroomFactory, MessagePayload, StateroomContext, StateroomService,
};
use stateroom_tests::{
    Guest, TestServer, records,
    services::{simple, simple_guest},
};

/// Checks the services below: their answer to a text.
#[track_caller]
fn answers(guest: Guest, text: &str, answers: &[&str]) {
    let server = TestServer::new(guest.program());
    let mut client = server.client("room");
    client.text(text);
    client.expect(answers);
}

#[test]
fn a_room_may_be_a_struct_with_fields() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        use stateroom_sdk_core::*;

        /// A room with fields and documentation.
        #[stateroom_wasm]
        #[derive(Debug, Default)]
        pub struct Sum { total: u32, last: heapless::String<16> }

        impl StateroomService for Sum {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                let text = message.text().unwrap_or_default();
                self.total += text.parse::<u32>().unwrap_or(0);
                ctx.send_message(client, format_args!(\"{} after {:?}\", self.total, self.last));
                self.last = text.try_into().unwrap_or_default();
            }
        }";
    let server = TestServer::new(Guest::new("struct-room", "[]", source).program());
    let mut client = server.client("room");
    assert_eq!(client.ask("3"), "3 after \"\"");
    assert_eq!(client.ask("4"), "7 after \"3\"");
    assert_eq!(server.client("other").ask("1"), "1 after \"\"");
}

/// Says where it is, in its first event and in later ones.
#[derive(Default)]
struct Signpost(String);

impl StateroomService for Signpost {
    fn init(&mut self, ctx: &impl StateroomContext) {
        self.0 = ctx.room_id().into();
    }

    fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, format_args!("{} {}", self.0, ctx.room_id()));
    }
}

#[test]
fn a_room_knows_its_id_in_all_events() {
    let source = "#![no_std]
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Signpost(heapless::String<64>);

        impl StateroomService for Signpost {
            fn init(&mut self, ctx: &impl StateroomContext) {
                self.0 = ctx.room_id().try_into().unwrap_or_default();
            }

            fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
                ctx.send_message(client, format_args!(\"{} {}\", self.0, ctx.room_id()));
            }
        }";
    let servers = [
        TestServer::new(Guest::new("signpost", "[]", source).program()),
        TestServer::new(DefaultStateroomFactory::<Signpost>::default()),
    ];
    for server in servers {
        for (path, id) in [("lobby", "lobby"), ("caf%C3%A9", "café")] {
            assert_eq!(server.client(path).ask("where?"), format!("{id} {id}"));
        }
    }
}

#[test]
fn a_room_may_be_a_tuple_struct() {
    let source = "#![no_std]
        use stateroom_sdk_core::{ClientId, StateroomContext, StateroomService, stateroom_wasm};

        #[derive(Default)]
        #[stateroom_wasm]
        struct Greeter(u8);

        impl StateroomService for Greeter {
            fn init(&mut self, _: &impl StateroomContext) {
                self.0 = 40;
            }

            fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
                self.0 += 1;
                ctx.send_message(client, format_args!(\"{}\", self.0));
            }
        }";
    answers(Guest::new("tuple-room", "[]", source), "", &["41"]);
}

#[test]
fn a_room_may_be_an_enum() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        enum Light { #[default] Red, Green }

        impl StateroomService for Light {
            fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
                *self = match self { Self::Red => Self::Green, Self::Green => Self::Red };
                ctx.send_message(client, match self { Self::Red => \"red\", Self::Green => \"green\" });
            }
        }";
    let server = TestServer::new(Guest::new("enum-room", "[]", source).program());
    let mut client = server.client("room");
    assert_eq!(client.ask("next"), "green");
    assert_eq!(client.ask("next"), "red");
}

#[test]
fn a_room_that_is_large_does_not_make_its_module_large() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        struct Board { cells: [u8; 1000], last: Option<bool> }

        impl Default for Board {
            fn default() -> Self {
                Self { cells: [0; 1000], last: None }
            }
        }

        impl StateroomService for Board {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                self.last = Some(message.text().is_some());
                ctx.send_message(client, &self.cells[..message.data().len()]);
            }
        }";
    let module = Guest::new("large-room", "[]", source).module();
    assert!(module.len() < 1000, "{} bytes", module.len());
}

#[test]
fn a_room_may_be_a_type_alias() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        use stateroom_sdk_core::*;

        #[derive(Default)]
        struct Repeat<const N: usize, T>(T);

        impl<const N: usize, T: Default> StateroomService for Repeat<N, T> {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                for _ in 0..N {
                    ctx.send_message(client, message);
                }
            }
        }

        #[stateroom_wasm]
        type Twice = Repeat<2, u8>;";
    answers(Guest::new("alias-room", "[]", source), "hello", &["hello", "hello"]);
}

#[test]
fn the_sdk_may_have_another_name() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        extern crate alloc;
        use jamsocket_wasm::prelude::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Echo;

        impl StateroomService for Echo {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                ctx.send_message(client, alloc::format!(\"{}?\", message.text().unwrap_or_default()));
            }
        }";
    let sdk = format!(
        "jamsocket-wasm = {{ package = \"stateroom-sdk-core\", path = '{}/../sdk-core', default-features = false, \
         features = [\"alloc\"] }}",
        env!("CARGO_MANIFEST_DIR")
    );
    answers(Guest::new("renamed-sdk", "[]", source).with_dependencies(&sdk), "really", &["really?"]);
}

#[test]
fn a_guest_of_the_older_line_compiles_as_it_was_written() {
    let source = "use stateroom_wasm::prelude::*;

        #[stateroom_wasm]
        struct ChatServer { room: String, said: u32 }

        impl SimpleStateroomService for ChatServer {
            fn new(room_id: &str, _ctx: &impl StateroomContext) -> Self {
                ChatServer { room: room_id.to_string(), said: 0 }
            }

            fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
                ctx.send_message(client, &format!(\"welcome to {}\", self.room));
            }

            fn message(&mut self, client: ClientId, message: &str, ctx: &impl StateroomContext) {
                self.said += 1;
                ctx.send_message(MessageRecipient::Broadcast, &format!(\"{:?} {}: {}\", client, self.said, message));
                ctx.set_timer(1);
            }

            fn binary(&mut self, client: ClientId, message: &[u8], ctx: &impl StateroomContext) {
                ctx.send_binary(client, message);
            }

            fn timer(&mut self, ctx: &impl StateroomContext) {
                ctx.send_message(MessageRecipient::Broadcast, \"time\");
            }
        }";
    let sdk = format!(
        "stateroom-wasm = {{ package = \"stateroom-sdk-core\", path = '{}/../sdk-core' }}",
        env!("CARGO_MANIFEST_DIR")
    );
    let server = TestServer::new(Guest::new("older-line", "[]", source).with_dependencies(&sdk).program());
    let mut client = server.client("the%20hall");
    client.expect(&["welcome to the hall"]);
    client.text("hi");
    client.expect(&["ClientId(1) 1: hi", "time"]);
    client.binary(&[1, 2]);
    assert_eq!(client.next_binary(), [1, 2]);
}

#[test]
fn the_older_form_is_the_same_native_and_as_a_guest() {
    for server in [TestServer::new(simple()), TestServer::new(simple_guest())] {
        let mut one = server.client("hall");
        one.expect(&["welcome to hall, 1"]);
        let mut two = server.client("hall");
        two.expect(&["welcome to hall, 2"]);
        one.text("hello");
        two.expect(&["1 says hello", "time"]);
        one.expect(&["time"]);
        one.binary(&[0, 255]);
        assert_eq!(one.next_binary(), [0, 255]);
        two.leave();
        one.expect(&["goodbye, 2"]);
    }
}

/// An ordinary program.
const ORDINARY: &str = "use std::{collections::HashMap, time::{SystemTime, UNIX_EPOCH}};
    use stateroom_sdk_core::*;

    #[stateroom_wasm]
    #[derive(Default)]
    struct Words(HashMap<String, u32>);

    impl StateroomService for Words {
        fn message(&mut self, client: ClientId, message: MessagePayload, ctx: &impl StateroomContext) {
            let text = message.text().unwrap_or_default();
            match text {
                \"time\" => {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                    ctx.send_message(client, format!(\"{}\", now.as_millis()));
                }
                \"exit\" => std::process::exit(7),
                \"panic\" => panic!(\"as told\"),
                _ => {
                    for word in text.split_whitespace() {
                        *self.0.entry(word.to_owned()).or_default() += 1;
                    }
                    println!(\"{} words so far\", self.0.len());
                    eprintln!(\"and this is a complaint\");
                    let mut words: Vec<_> = self.0.iter().map(|(word, count)| format!(\"{count} {word}\")).collect();
                    words.sort();
                    ctx.send_message(client, words.join(\", \"));
                }
            }
        }
    }";

#[test]
fn a_guest_for_wasi_is_an_ordinary_program() {
    let guest = Guest::new("wasi-room", "[\"std\"]", ORDINARY)
        .with_settings("[service]\ntarget = \"wasm32-wasip1\"\n");
    let server = TestServer::new(guest.program());
    let mut client = server.client("ordinary");
    assert_eq!(client.ask("a b a"), "1 b, 2 a");
    let lines = records("ordinary");
    assert!(
        lines.iter().any(|line| line.starts_with("INFO ") && line.contains("2 words so far")),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line.starts_with("WARN ") && line.contains("a complaint")), "{lines:?}");

    let millis = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let before = millis();
    let time: u128 = client.ask("time").parse().expect("a number");
    assert!((before..=millis()).contains(&time), "{time}");

    client.text("exit");
    assert_eq!(client.closed(), 1011);
    assert!(records("ordinary").iter().any(|line| line.contains("exited with code 7")));
    let mut client = server.client("ordinary");
    assert_eq!(client.ask("fresh"), "1 fresh");
    client.text("panic");
    assert_eq!(client.closed(), 1011);
    assert!(records("ordinary").iter().any(|line| line.contains("as told")), "{:?}", records("ordinary"));
}

#[test]
fn a_guest_with_the_standard_library_needs_no_wasi() {
    let guest = Guest::new("std-room", "[\"std\"]", ORDINARY);
    let server = TestServer::new(guest.program());
    let mut client = server.client("extraordinary");
    assert_eq!(client.ask("a b a"), "1 b, 2 a");
    // What it prints goes nowhere.
    assert_eq!(records("extraordinary"), [""; 0]);
    client.text("panic");
    assert_eq!(client.closed(), 1011);
    assert_eq!(server.client("extraordinary").ask("c"), "1 c");
}

#[test]
fn a_guest_asks_the_host_for_time_and_chance_and_writes_to_its_log() {
    let source = "#![no_std]
        use stateroom_sdk_core::*;

        #[stateroom_wasm]
        #[derive(Default)]
        struct Asker;

        impl StateroomService for Asker {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                let mut bytes = [0; 16];
                ctx.random(&mut bytes);
                ctx.log(LogLevel::Warn, message.text().unwrap_or_default());
                ctx.send_message(client, format_args!(\"{}\", ctx.now_ms()));
                ctx.send_message(client, bytes);
            }
        }";
    let server = TestServer::new(Guest::new("asker", "[]", source).program());
    let (mut one, mut two) = (server.client("asker-one"), server.client("asker-two"));
    let mut chances = Vec::new();
    for client in [&mut one, &mut two] {
        for _ in 0..2 {
            let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
            let time: u128 = client.ask("a line of mine\nand another").parse().expect("a number");
            assert!(time >= before && time - before < 10_000);
            chances.push(client.next_binary());
        }
    }
    chances.sort();
    chances.dedup();
    assert_eq!(chances.len(), 4, "neither rooms nor events share their random numbers");
    let lines = records("asker-one");
    // A guest cannot forge lines of its own.
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("WARN ") && lines[0].ends_with(r#""a line of mine\nand another""#),
        "{lines:?}"
    );
}

#[test]
fn messages_may_be_typed() {
    let source = "#![no_std]
        #![forbid(unsafe_code)]
        extern crate alloc;
        use alloc::{string::String, vec::Vec};
        use serde::{Deserialize, Serialize};
        use stateroom_sdk_core::*;

        #[derive(Deserialize, Serialize)]
        #[serde(tag = \"type\")]
        enum Shape { Circle { radius: f32 }, Text { lines: Vec<String> } }

        #[stateroom_wasm]
        #[derive(Default)]
        struct Translator;

        impl StateroomService for Translator {
            fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
                if let Ok(shape) = message.json::<Shape>() {
                    let as_tuple = match shape {
                        Shape::Circle { radius } => (radius, Vec::new()),
                        Shape::Text { lines } => (0.0, lines),
                    };
                    ctx.send_message(client, Postcard(as_tuple));
                } else if let Ok((radius, _)) = message.postcard::<(f32, Vec<&str>)>() {
                    ctx.send_message(client, Json(Shape::Circle { radius }));
                }
            }
        }";
    let dependencies =
        "serde = { version = \"1\", default-features = false, features = [\"alloc\", \"derive\"] }
        stateroom-sdk-core = { workspace = true, features = [\"alloc\", \"json\", \"postcard\"] }";
    let server = TestServer::new(Guest::new("typed", "", source).with_dependencies(dependencies).program());
    let mut client = server.client("room");
    client.text(r#"{"type":"Text","lines":["a","é"]}"#);
    assert_eq!(client.next_binary(), [0, 0, 0, 0, 2, 1, b'a', 2, 195, 169]);
    client.text(r#"{"type":"Text","lines":["a"#);
    // What it does not know it keeps, until it knows the type. That takes stack for each level.
    let nested = |depth| {
        [r#"{"z":"#, &"[{\"a\":".repeat(depth), "0", &"}]".repeat(depth), r#","type":"Text","lines":[]}"#]
            .concat()
    };
    client.text(&nested(7));
    assert_eq!(client.next_binary(), [0, 0, 0, 0, 0]);
    client.text(&nested(40));
    client.binary(&[0, 0, 128, 63, 0]);
    client.expect(&[r#"{"type":"Circle","radius":1.0}"#]);
}

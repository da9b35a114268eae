use std::{
    string::{String, ToString},
    vec,
    vec::Vec,
};

use crate::*;

use super::{
    BY_DEFAULT, BY_NEW, InForm, Room,
    test_host::{Asked, Here, TestHost},
};

/// A service that reports every event, and remembers the last message.
#[derive(Default)]
struct Journal {
    last: Vec<u8>,
}

impl StateroomService for Journal {
    fn init(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, "init");
    }

    fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(client, "connect");
    }

    fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::EveryoneExcept(client), "disconnect");
    }

    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, message);
        ctx.send_message(MessageRecipient::Broadcast, &self.last[..]);
        self.last = message.data().to_vec();
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.set_timer(250);
    }
}

/// A service that keeps a text, and saves it in two pieces.
#[derive(Default)]
struct Keeper(String);

impl StateroomService for Keeper {
    fn message(&mut self, _: ClientId, message: MessagePayload<'_>, _: &impl StateroomContext) {
        self.0.push_str(message.text().unwrap());
    }
}

impl SaveState for Keeper {
    type Error = &'static str;

    fn save(&self, write: &mut impl FnMut(&[u8])) {
        write(b"kept: ");
        write(self.0.as_bytes());
    }

    fn load(&mut self, saved: &[u8], ctx: &impl StateroomContext) -> Result<(), &'static str> {
        let kept = saved.strip_prefix(b"kept: ").ok_or("nothing was kept")?;
        self.0 = String::from_utf8(kept.to_vec()).unwrap();
        ctx.send_message(MessageRecipient::Broadcast, &*self.0);
        Ok(())
    }
}

fn text(recipient: i32, text: &str) -> Asked {
    Asked::Text(recipient, text.into())
}

/// Returns a room that a host has begun.
fn begun<S: StateroomService + Default + 'static>(host: &TestHost) -> Room<InForm<S, BY_DEFAULT>, Here> {
    // SAFETY: its methods are called by `TestHost`, and by tests that keep the same promises.
    let room = unsafe { Room::new() };
    host.initialize(&room, "lobby");
    room
}

#[test]
fn a_state_goes_from_one_room_to_another() {
    let host = TestHost::new();
    let room = begun::<Keeper>(&host);
    assert!(host.message(&room, 1, MessagePayload::Text("this")));
    room.save();
    assert_eq!(host.asked(), [Asked::Saved(b"kept: ".into()), Asked::Saved(b"this".into())]);
    let other = begun::<Keeper>(&host);
    host.load(&other, b"kept: this");
    assert_eq!(host.asked(), [text(0, "this")]);
}

#[test]
#[cfg_attr(miri, ignore = "what was handed over is lost with the panic")]
#[should_panic(expected = "this version cannot load the saved state: nothing was kept")]
fn a_state_that_cannot_be_loaded_is_a_panic_with_the_reason() {
    let host = TestHost::new();
    host.load(&begun::<Keeper>(&host), b"lost");
}

#[test]
fn every_event_reaches_the_service() {
    let host = TestHost::new();
    let room = begun::<Journal>(&host);
    room.connect(1);
    room.timer();
    room.disconnect(1);
    assert_eq!(
        host.asked(),
        [text(0, "init"), text(1, "connect"), Asked::Timer(250), text(-1, "disconnect")]
    );
}

#[test]
fn messages_of_every_length_arrive_whole_and_can_be_kept() {
    let host = TestHost::new();
    let room = begun::<Journal>(&host);
    host.asked();
    let mut last = vec![];
    // Up and down again: what has been handed over before lies where the next one comes.
    for len in [0, 1, 7, 1023, 1024, 1025, 5000, 8, 0, 3] {
        let message = "é".repeat(len);
        assert!(host.message(&room, 2, MessagePayload::Text(&message)));
        assert_eq!(host.asked(), [text(2, &message), Asked::Bytes(0, last)]);
        let message: Vec<u8> = (0..=255).cycle().take(len).collect();
        assert!(host.message(&room, 3, MessagePayload::Bytes(&message)));
        assert_eq!(host.asked(), [Asked::Bytes(3, message.clone()), Asked::Bytes(0, "é".repeat(len).into())]);
        last = message;
    }
}

#[test]
fn a_service_of_the_older_form_gets_the_rooms_id() {
    struct Named(String);

    impl SimpleStateroomService for Named {
        fn new(room_id: &str, _: &impl StateroomContext) -> Self {
            Self(room_id.to_string())
        }

        fn message(&mut self, client: ClientId, _: &str, ctx: &impl StateroomContext) {
            ctx.send_message(client, &self.0[..]);
        }
    }

    let host = TestHost::new();
    // SAFETY: its methods are called by `TestHost`.
    let room: Room<InForm<Named, BY_NEW>, Here> = unsafe { Room::new() };
    host.initialize(&room, "lobby é");
    assert!(host.message(&room, 1, MessagePayload::Text("something else, which is longer")));
    assert_eq!(host.asked(), [text(1, "lobby é")]);
}

#[test]
fn imports_lend_what_they_are_given() {
    #[derive(Default)]
    struct Curious;

    impl StateroomService for Curious {
        fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
            let mut bytes = [0; 4];
            ctx.random(&mut bytes[1..]);
            ctx.send_message(client, bytes);
            ctx.random(&mut []);
            ctx.log(LogLevel::Warn, "");
            assert_eq!(ctx.now_ms(), 1_700_000_000_000);
            let mut buffer = [0; 4];
            assert_eq!(ctx.client_info(client, "name", &mut buffer), Some("Zoë"));
            assert_eq!(ctx.client_info(client, "name", &mut buffer[1..]), None);
            assert_eq!(ctx.client_info(client, "", &mut []), None);
            ctx.close(client, 3000, "good night");
        }
    }

    let host = TestHost::new();
    begun::<Curious>(&host).connect(1);
    let bytes = Asked::Bytes(1, vec![0, 7, 7, 7]);
    let log = Asked::Log(2, String::new());
    assert_eq!(host.asked(), [bytes, log, Asked::Close(1, 3000, "good night".into())]);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "the host breaks its promises")]
fn an_event_before_initialize_is_found_out() {
    // SAFETY: the promise that is broken here is looked after in builds with debug assertions, before it matters.
    let room: Room<InForm<Journal, BY_DEFAULT>, Here> = unsafe { Room::new() };
    room.connect(1);
}

#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "the host breaks its promises")]
fn an_event_within_another_one_is_found_out() {
    #[derive(Default)]
    struct Nested;

    // SAFETY: as above.
    static ROOM: Room<InForm<Nested, BY_DEFAULT>, Here> = unsafe { Room::new() };

    impl StateroomService for Nested {
        fn connect(&mut self, client: ClientId, _: &impl StateroomContext) {
            // A host that calls back would do this in an import.
            ROOM.disconnect(client.0);
        }
    }

    TestHost::new().initialize(&ROOM, "lobby");
    ROOM.connect(1);
}

#[cfg(not(feature = "heap"))]
mod without_a_heap {
    use super::*;

    #[test]
    fn memory_grows_for_the_longest_message_alone_and_gives_out_in_peace() {
        for page in [1, 1 << 16] {
            let host = TestHost::with_memory(page, 1 << 17);
            let room = begun::<Journal>(&host);
            let asked = |len: usize| {
                host.asked();
                let arrived = host.message(&room, 1, MessagePayload::Text(&"x".repeat(len)));
                (arrived, host.asked().first() == Some(&text(1, &"x".repeat(len))))
            };
            assert_eq!(asked(60_000), (true, true));
            let end = crate::guest::linear_memory::end();
            assert_eq!(asked(10), (true, true));
            assert_eq!(asked(60_000), (true, true));
            assert_eq!(crate::guest::linear_memory::end(), end);
            // There is not so much, and the room lives on.
            assert_eq!(asked(200_000), (false, false));
            assert_eq!(asked(60_001), (true, true));
            assert!(!host.message(&room, 1, MessagePayload::Bytes(&vec![0; 140_000])));
        }
    }

    #[test]
    fn what_somebody_else_has_grown_is_theirs() {
        let host = TestHost::new();
        let room = begun::<Journal>(&host);
        assert!(host.message(&room, 1, MessagePayload::Text("short")));
        crate::guest::linear_memory::grow(100);
        assert!(!host.message(&room, 1, MessagePayload::Text(&"x".repeat(2000))));
        assert!(host.message(&room, 1, MessagePayload::Text("short")));
    }
}

#[cfg(feature = "heap")]
#[test]
fn a_heap_without_room_refuses_a_message() {
    // SAFETY: `malloc` may be called before `initialize`, which needs it.
    let room: Room<InForm<Journal, BY_DEFAULT>, Here> = unsafe { Room::new() };
    for size in [usize::MAX, isize::MAX as usize + 1] {
        assert_eq!(room.malloc(size).0.addr(), abi::ALLOC_FAILED as usize);
    }
}

#[cfg(feature = "std")]
#[test]
fn what_is_printed_is_written_whole_to_the_stream_that_is_named() {
    use super::print::{ERR, OUT, print};

    let host = TestHost::new();
    print(OUT, format_args!("{}", "zweitausendfünf"));
    print(ERR, format_args!("{}{}", "", 7));
    // There is no such stream.
    print(3, format_args!("lost"));
    let printed = |stream, words: &str| Asked::Printed(stream, words.into());
    assert_eq!(host.asked(), [printed(OUT, "zweitaus"), printed(OUT, "endfünf"), printed(ERR, "7")]);
}

/// A service that says where it is.
#[derive(Default)]
struct Signpost;

impl StateroomService for Signpost {
    fn init(&mut self, ctx: &impl StateroomContext) {
        ctx.log(LogLevel::Info, ctx.room_id());
    }

    fn timer(&mut self, ctx: &impl StateroomContext) {
        ctx.send_message(MessageRecipient::Broadcast, ctx.room_id());
    }
}

#[test]
fn the_rooms_id_is_there_in_all_events_and_an_id_that_is_too_long_is_none() {
    let host = TestHost::new();
    for (id, said) in
        [("Zoë's", "Zoë's"), ("", ""), (&"x".repeat(512), &"x".repeat(512)), (&"x".repeat(513), "")]
    {
        // SAFETY: as in `begun`.
        let room: Room<InForm<Signpost, BY_DEFAULT>, Here> = unsafe { Room::new() };
        host.initialize(&room, id);
        // What was handed over with it is given back, and used again.
        assert!(host.message(&room, 1, MessagePayload::Text(&"y".repeat(600))));
        room.timer();
        assert_eq!(host.asked(), [Asked::Log(3, said.into()), text(0, said)]);
    }
}

//! A room in a test does what the room on a server does: here they do the same side by side.

use stateroom_sdk_core::{
    ClientId,
    engine::EngineFactory,
    testing::{Message, TestClient, TestRoom},
};
use stateroom_tests::{
    Client, Message as Frame, TestServer,
    services::{journal, journal_guest, script, script_guest},
};

/// A client in both worlds.
struct Pair {
    test: TestClient,
    real: Client,
}

impl Pair {
    fn send(&mut self, message: &Message) {
        self.test.send(message.payload());
        match message {
            Message::Text(text) => self.real.text(text),
            Message::Bytes(bytes) => self.real.binary(bytes),
        }
    }
}

/// Waits for everybody to get on the server what they have got in the test. Whether that was anything.
fn compare(pairs: &mut [Pair]) -> bool {
    let mut anything = false;
    for Pair { test, real } in pairs {
        for expected in test.received() {
            anything = true;
            let message = match real.message() {
                Frame::Text(text) => Message::Text(text),
                Frame::Binary(bytes) => Message::Bytes(bytes),
                end => panic!("client {} gets {end:?} and not {expected:?}", test.id()),
            };
            assert_eq!(message, expected, "client {}", test.id());
        }
    }
    anything
}

/// Lets clients come, talk and go, in an order that only looks like chance.
fn alike(tested: impl EngineFactory, served: impl EngineFactory) {
    let (room, server) = (TestRoom::of(tested), TestServer::new(served));
    let mut pairs = Vec::<Pair>::new();
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % below
    };
    for step in 0..400 {
        let action = random(10);
        if pairs.len() < 2 || (action == 0 && pairs.len() < 6) {
            let mut pair = Pair { test: room.connect(), real: server.client("room") };
            // Its `connect` is over when this comes back.
            pair.send(&"here I am".into());
            pairs.push(pair);
        } else if action == 1 {
            let Pair { test, real } = pairs.swap_remove(random(pairs.len()));
            test.leave();
            real.leave();
            server.wait_for_clients(pairs.len());
        } else {
            let whom = ClientId(u32::try_from(1 + random(12)).expect("it is small"));
            let message = match action {
                2 => format!("broadcast {step}").into(),
                3 | 4 => format!("to {whom} {step}").into(),
                5 | 6 => format!("except {whom} {step}").into(),
                7 => "count".into(),
                8 => Message::Bytes(step.to_string().into()),
                _ => "".into(),
            };
            let sender = random(pairs.len());
            pairs[sender].send(&message);
            if !compare(&mut pairs) {
                // Nobody got it; it is over when this comes back.
                pairs[sender].send(&"fired".into());
            }
        }
        compare(&mut pairs);
    }
    assert!(pairs.iter_mut().all(|pair| pair.real.is_quiet()));
}

#[test]
fn a_native_service_is_tested_as_its_guest_is_served() {
    alike(script(), script_guest());
    alike(journal(), journal_guest());
}

#[test]
fn a_guest_is_tested_as_its_native_service_is_served() {
    alike(script_guest(), script());
    alike(journal_guest(), journal());
}

use stateroom_tests::Frame;

use super::{Case, Echo};

fn first(text: &str) -> Frame {
    Frame::unfinished(Frame::TEXT, text)
}

fn middle(text: &str) -> Frame {
    Frame::unfinished(Frame::CONTINUATION, text)
}

fn last(text: &str) -> Frame {
    Frame::new(Frame::CONTINUATION, text)
}

#[test]
fn messages_in_fragments_come_back_whole() {
    let whole = Frame::text("fragment1fragment2");
    let (ping, pong) = (Frame::new(Frame::PING, "ping"), Frame::new(Frame::PONG, "ping"));
    let five = |name: &str| {
        Case::new(name)
            .sends(&first("fragment1"))
            .sends(&middle("fragment2"))
            .sends(&ping)
            .gets(pong.clone())
            .sends(&middle("fragment3"))
            .sends(&middle("fragment4"))
            .sends(&ping)
            .gets(pong.clone())
            .sends(&last("fragment5"))
            .gets(Frame::text("fragment1fragment2fragment3fragment4fragment5"))
    };
    let many =
        (0..200).fold(Case::new("200 fragments").sends(&first("")), |case, _| case.sends(&middle("ab")));
    Echo::start(&[]).run([
        Case::new("5.3, 5.4, 5.5").sends(&first("fragment1")).sends(&last("fragment2")).gets(whole.clone()),
        Case::new("5.6, 5.7, 5.8")
            .sends(&first("fragment1"))
            .sends(&ping)
            .sends(&last("fragment2"))
            .gets(pong.clone())
            .gets(whole.clone()),
        five("5.19, 5.20"),
        Case::new("a pong between fragments")
            .sends(&first("fragment1"))
            .sends(&Frame::new(Frame::PONG, ""))
            .sends(&last("fragment2"))
            .gets(whole),
        Case::new("bytes in fragments, some of them empty")
            .sends(&Frame::unfinished(Frame::BINARY, []))
            .sends(&middle(""))
            .sends(&middle("a"))
            .sends(&last(""))
            .gets(Frame::new(Frame::BINARY, "a")),
        many.sends(&last("")).gets(Frame::text(&"ab".repeat(200))),
        // The bounded form of 10.1.1, the other way round.
        (1..50)
            .fold(
                Case::new("65,000 bytes in fragments of 1,300").sends(&first(&"*".repeat(1_300))),
                |case, _| case.sends(&middle(&"*".repeat(1_300))),
            )
            .sends(&last(""))
            .gets(Frame::text(&"*".repeat(65_000))),
    ]);
}

#[test]
fn fragments_out_of_order_fail_the_connection() {
    let text = Frame::text("Hello, world!");
    let two = |name: &str| {
        Case::new(name)
            .sends(&first("fragment1"))
            .sends(&last("fragment2"))
            .gets(Frame::text("fragment1fragment2"))
    };
    Echo::start(&[]).run([
        Case::new("5.1")
            .sends(&Frame::unfinished(Frame::PING, "fragment1"))
            .sends(&last("fragment2"))
            .closes(1002),
        Case::new("5.2")
            .sends(&Frame::unfinished(Frame::PONG, "fragment1"))
            .sends(&last("fragment2"))
            .closes(1002),
        Case::new("5.9, 5.10, 5.11").sends(&last("non-continuation payload")).sends(&text).closes(1002),
        Case::new("5.12, 5.13, 5.14").sends(&middle("non-continuation payload")).sends(&text).closes(1002),
        two("5.15").sends(&middle("fragment3")).sends(&text).closes(1002),
        Case::new("5.16")
            .sends(&middle("fragment1"))
            .sends(&first("fragment2"))
            .sends(&last("3"))
            .closes(1002),
        Case::new("5.17").sends(&last("fragment1")).sends(&first("fragment2")).sends(&last("3")).closes(1002),
        Case::new("5.18").sends(&first("fragment1")).sends(&Frame::text("fragment2")).closes(1002),
        Case::new("bytes in a text").sends(&first("a")).sends(&Frame::new(Frame::BINARY, [1])).closes(1002),
        Case::new("a close frame in two").sends(&Frame::unfinished(Frame::CLOSE, [3, 232])).closes(1002),
        two("a message, and one more fragment").sends(&last("")).closes(1002),
    ]);
}

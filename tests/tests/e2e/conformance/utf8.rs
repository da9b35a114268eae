use stateroom_tests::Frame;

use super::{Case, Echo};

/// Begins text.
const KOSME: &[u8] = "κόσμε".as_bytes();

/// Returns the frames of a text that is cut behind each byte.
fn byte_by_byte(name: &str, text: &[u8]) -> Case {
    let case = Case::new(name).sends(&Frame::unfinished(Frame::TEXT, ""));
    let case =
        text.iter().fold(case, |case, byte| case.sends(&Frame::unfinished(Frame::CONTINUATION, [*byte])));
    case.sends(&Frame::new(Frame::CONTINUATION, ""))
}

#[test]
fn text_may_be_cut_anywhere() {
    let text = "Hello-µ@ßöäüàá-UTF-8!!";
    let (head, tail) = text.split_at("Hello-µ@ßöä".len());
    let [begin, end] = [head, tail].map(str::as_bytes);
    let empty = |name: &str, middle: &str| {
        Case::new(name)
            .sends(&Frame::unfinished(Frame::TEXT, ""))
            .sends(&Frame::unfinished(Frame::CONTINUATION, middle))
            .sends(&Frame::new(Frame::CONTINUATION, ""))
            .gets(Frame::text(middle))
    };
    Echo::start(&[]).run([
        Case::new("6.1.1").echoes(&Frame::text("")),
        empty("6.1.2", ""),
        empty("6.1.3", "middle frame payload"),
        Case::new("6.2.1").echoes(&Frame::text(text)),
        Case::new("6.2.2")
            .sends(&Frame::unfinished(Frame::TEXT, begin))
            .sends(&Frame::new(Frame::CONTINUATION, end))
            .gets(Frame::text(text)),
        byte_by_byte("6.2.3", text.as_bytes()).gets(Frame::text(text)),
        byte_by_byte("6.2.4", KOSME).gets(Frame::new(Frame::TEXT, KOSME)),
        byte_by_byte("6.3.2", &[KOSME, b"\xed\xa0\x80edited"].concat()).closes(1007),
    ]);
}

#[test]
fn a_text_that_cannot_become_valid_is_refused_before_the_rest_comes() {
    // 6.4: the rest is never sent.
    let frames = |name: &str, valid: &[u8], invalid: &[u8]| {
        Case::new(name)
            .sends(&Frame::unfinished(Frame::TEXT, valid))
            .sends(&Frame::unfinished(Frame::CONTINUATION, invalid))
            .closes(1007)
    };
    let begun = |name: &str, sent: &[u8]| {
        let mut bytes = Frame::new(Frame::TEXT, [sent, &[b'x'; 50]].concat()).masked();
        bytes.truncate(bytes.len() - 50);
        Case::new(name).raw(bytes)
    };
    let (at_once, at_the_byte) = ([KOSME, b"\xf4\x90\x80\x80"].concat(), [KOSME, b"\xf4\x90"].concat());
    Echo::start(&[]).run([
        frames("6.4.1", KOSME, b"\xf4\x90\x80\x80"),
        frames("6.4.2", &[KOSME, b"\xf4"].concat(), b"\x90"),
        begun("6.4.3", &at_once).closes(1007),
        begun("6.4.4", &at_the_byte).closes(1007),
        // What goes with it is not looked at.
        frames("a text that was ended too early", b"caf\xc3", b"noir"),
        Case::new("bytes that are not text")
            .sends(&Frame::unfinished(Frame::BINARY, [0xff]))
            .sends(&Frame::new(Frame::CONTINUATION, [0xff]))
            .gets(Frame::new(Frame::BINARY, [0xff, 0xff])),
        // A ping comes between two bytes of a character.
        Case::new("a character with a ping in it")
            .sends(&Frame::unfinished(Frame::TEXT, [0xc3]))
            .sends(&Frame::new(Frame::PING, [0xff]))
            .gets(Frame::new(Frame::PONG, [0xff]))
            .sends(&Frame::new(Frame::CONTINUATION, [0xa9]))
            .gets(Frame::text("é")),
    ]);
}

/// The categories of 6.5 to 6.23, with sequences that are valid and sequences that are not, in the order of the suite.
const SEQUENCES: [(&str, Whether, &[&[u8]]); 20] = [
    (
        "6.5",
        VALID,
        &[
            b"hello$world",
            b"hello\xc2\xa2world",
            b"hello\xe2\x82\xacworld",
            b"hello\xf0\xa4\xad\xa2world",
            KOSME,
        ],
    ),
    ("6.7", VALID, &[b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    ("6.8", INVALID, &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    ("6.9", VALID, &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    ("6.10", INVALID, &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    ("6.11", VALID, &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
    ("6.11, the fifth", INVALID, &[b"\xf4\x90\x80\x80"]),
    (
        "6.12",
        INVALID,
        &[b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", b"\x80\xbf\x80\xbf\x80"],
    ),
    (
        "6.13",
        INVALID,
        &[b"\xc0 \xc1 \xdf ", b"\xe0 \xe1 \xef ", b"\xf0 \xf1 \xf7 ", b"\xf8 \xfb ", b"\xfc \xfd "],
    ),
    (
        "6.14",
        INVALID,
        &[
            b"\xc0",
            b"\xe0\x80",
            b"\xf0\x80\x80",
            b"\xf8\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80",
            b"\xdf",
            b"\xef\xbf",
            b"\xf7\xbf\xbf",
            b"\xfb\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf",
        ],
    ),
    ("6.15", INVALID, &[b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf"]),
    ("6.16", INVALID, &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    ("6.17", INVALID, &[b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"]),
    ("6.18", INVALID, &[b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf"]),
    ("6.19", INVALID, &[b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80"]),
    (
        "6.20",
        INVALID,
        &[
            b"\xed\xa0\x80",
            b"\xed\xad\xbf",
            b"\xed\xae\x80",
            b"\xed\xaf\xbf",
            b"\xed\xb0\x80",
            b"\xed\xbe\x80",
            b"\xed\xbf\xbf",
        ],
    ),
    (
        "6.21",
        INVALID,
        &[b"\xed\xa0\x80\xed\xb0\x80", b"\xed\xad\xbf\xed\xbf\xbf", b"\xed\xaf\xbf\xed\xb0\x80"],
    ),
    ("6.22", VALID, &[b"\xef\xbf\xbe", b"\xef\xbf\xbf"]),
    (
        "6.22, the planes above",
        VALID,
        &[b"\xf0\x9f\xbf\xbe", b"\xf1\x8f\xbf\xbf", b"\xf3\xbf\xbf\xbe", b"\xf4\x8f\xbf\xbf"],
    ),
    ("6.23", VALID, &[b"\xef\xbf\xb9", b"\xef\xbf\xba", b"\xef\xbf\xbb", b"\xef\xbf\xbc", b"\xef\xbf\xbd"]),
];

type Whether = bool;
const VALID: Whether = true;
const INVALID: Whether = false;

#[test]
fn each_kind_of_sequence_is_taken_or_refused() {
    let of_categories = SEQUENCES.iter().flat_map(|(category, is_valid, sequences)| {
        let named = (1..).zip(*sequences);
        named.map(move |(number, sequence)| (format!("{category}.{number}"), *is_valid, *sequence))
    });
    // The beginnings of a text.
    let beginnings = (1..=KOSME.len()).map(|size| {
        let beginning = &KOSME[..size];
        (format!("6.6.{size}"), str::from_utf8(beginning).is_ok(), beginning)
    });
    let cases = of_categories.chain(beginnings).map(|(name, is_valid, sequence)| {
        let frame = Frame::new(Frame::TEXT, sequence);
        if is_valid { Case::new(name).echoes(&frame) } else { Case::new(name).sends(&frame).closes(1007) }
    });
    let invalid = Frame::new(Frame::TEXT, [KOSME, b"\xed\xa0\x80edited"].concat());
    Echo::start(&[]).run(cases.chain([Case::new("6.3.1").sends(&invalid).closes(1007)]));
}

use std::net::SocketAddr;

use stateroom_tests::{Child, Client, Frame, Output, example};

/// The bytes that a client sends, and what the server has to answer.
pub(super) struct Case {
    name: String,
    /// The bytes, cut at the ends of frames.
    sent: Vec<Vec<u8>>,
    answers: Vec<Frame>,
    /// The code of the server's close frame, or 1005 for none. `None` if the connection stays open.
    closes: Option<u16>,
}

/// The ways in which the bytes of a case are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Nowhere,
    AtFrames,
    /// Behind each byte, or behind each 997 bytes if there are many.
    Everywhere,
}

/// The number of bytes from which they are not sent one by one.
const MANY: usize = 512;

impl Case {
    /// Begins a case. It ends with the server's last answer, and the connection stays open.
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), sent: Vec::new(), answers: Vec::new(), closes: None }
    }

    /// Sends a frame.
    pub(super) fn sends(self, frame: &Frame) -> Self {
        self.raw(frame.masked())
    }

    /// Sends bytes as they are.
    pub(super) fn raw(mut self, bytes: Vec<u8>) -> Self {
        self.sent.push(bytes);
        self
    }

    /// Expects a frame.
    pub(super) fn gets(mut self, frame: Frame) -> Self {
        self.answers.push(frame);
        self
    }

    /// Sends a whole message and expects it back.
    pub(super) fn echoes(self, frame: &Frame) -> Self {
        self.sends(frame).gets(frame.clone())
    }

    /// Expects that the server closes the connection after the answers.
    pub(super) fn closes(mut self, code: u16) -> Self {
        self.closes = Some(code);
        self
    }

    fn pieces(&self, cut: Cut) -> Vec<Vec<u8>> {
        let whole = self.sent.concat();
        match cut {
            Cut::Nowhere => vec![whole],
            Cut::AtFrames => self.sent.clone(),
            Cut::Everywhere => {
                let size = if whole.len() < MANY { 1 } else { 997 };
                whole.chunks(size).map(<[u8]>::to_vec).collect()
            }
        }
    }
}

/// The command, which serves a guest that sends each message back.
pub(super) struct Echo {
    address: SocketAddr,
    _child: Child,
}

impl Echo {
    /// Starts the command with more options.
    #[track_caller]
    pub(super) fn start(options: &[&str]) -> Self {
        let dist = example("echo").display().to_string();
        let arguments = ["serve", &dist, "--ip", "127.0.0.1", "--port", "0", "--heartbeat-interval", "0"];
        let child = Child::start("stateroom", &[&arguments[..], options].concat());
        let address = child.line(Output::Stderr, "serving on ").parse().expect("an address");
        Self { address, _child: child }
    }

    #[track_caller]
    pub(super) fn client(&self) -> Client {
        Client::connect(self.address, "/ws/echo").expect("an upgrade")
    }

    /// Runs cases, each in all cuts.
    #[track_caller]
    pub(super) fn run(&self, cases: impl IntoIterator<Item = Case>) {
        // When it has its answer, the server has read what was sent before.
        let mut other = self.client();
        for case in cases {
            for cut in [Cut::Nowhere, Cut::AtFrames, Cut::Everywhere] {
                self.run_one(&case, cut, &mut other);
            }
        }
    }

    #[track_caller]
    fn run_one(&self, case: &Case, cut: Cut, other: &mut Client) {
        // It is seen if the case fails.
        eprintln!("case {}, cut {cut:?}", case.name);
        let mut client = self.client();
        let sender = match cut {
            // The server may write before it has read all of it.
            Cut::Nowhere => Some(client.send_raw_aside(case.sent.concat())),
            Cut::AtFrames | Cut::Everywhere => {
                for piece in case.pieces(cut) {
                    // The server may have closed the connection.
                    if !client.try_raw(&piece) {
                        break;
                    }
                    other.ask("");
                }
                None
            }
        };
        for answer in &case.answers {
            assert_eq!(client.next_frame().as_ref(), Some(answer));
        }
        if let Some(sender) = sender {
            sender.join().expect("it sends");
        }
        let code = case.closes.unwrap_or_else(|| {
            client.frame(&Frame::close(1000));
            1000
        });
        let close = client.next_frame().expect("a close frame");
        assert_eq!((close.fin, close.opcode), (true, Frame::CLOSE), "{close:?}");
        let said = match &close.payload[..] {
            [] => 1005,
            [high, low, reason @ ..] => {
                assert!(str::from_utf8(reason).is_ok() && reason.len() <= 123);
                u16::from_be_bytes([*high, *low])
            }
            other => panic!("half a code: {other:?}"),
        };
        assert_eq!(said, code);
        assert_eq!(client.next_frame(), None, "nothing follows a close frame");
    }
}

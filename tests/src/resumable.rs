use serde_json::Value;

/// The number of messages that a client receives before it confirms them.
const CONFIRMED: u64 = 200;

/// The client's side of a session that it can resume (`docs/reference/sessions.md`).
#[derive(Debug)]
pub struct Resumable {
    token: String,
    attempts: u64,
    /// The attempt that is under way.
    attempt: u64,
    /// The id of the client and the attempt with which the session began, since a greeting has come.
    begun: Option<(u64, u64)>,
    /// The number of messages that it has received, and of those that it has confirmed.
    received: u64,
    confirmed: u64,
    /// The number of times that it has come back.
    pub resumptions: usize,
}

impl Resumable {
    /// Returns one that has not connected yet, with a token of at least 16 characters.
    #[must_use]
    pub fn new(token: String) -> Self {
        Self { token, attempts: 0, attempt: 0, begun: None, received: 0, confirmed: 0, resumptions: 0 }
    }

    /// Begins an attempt to connect, and returns the subprotocols to offer.
    #[must_use]
    pub fn attempt(&mut self) -> String {
        self.attempt = self.attempts;
        self.attempts += 1;
        let begun = self.begun.map_or(self.attempt, |(_, begun)| begun);
        let Self { token, received, attempt, .. } = self;
        format!("stateroom.v1, stateroom.session.{token}.{received}.{attempt}.{begun}")
    }

    /// Takes the greeting of a connection. Returns how many of the client's messages the room has received; nothing if the server shuts
    /// down in place of a greeting.
    ///
    /// # Panics
    /// The session does not go on as it has to.
    pub fn greet(&mut self, greeting: &str) -> Option<u64> {
        let greeting: Value = serde_json::from_str(greeting).expect("a greeting");
        if greeting["within"].is_u64() {
            return None;
        }
        let number = |field: &str| greeting[field].as_u64().expect("a number");
        let id = number("client");
        match self.begun {
            Some((known, _)) => {
                assert_eq!(greeting["resumed"], true, "{greeting} {self:?}");
                assert_eq!(id, known, "a client keeps its id");
                self.resumptions += 1;
            }
            None => {
                assert_eq!(greeting["resumed"], false, "{greeting}");
                self.begun = Some((id, self.attempt));
            }
        }
        self.confirmed = self.received;
        Some(number("received"))
    }

    /// Returns the id of the client in the room, if it is known.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        self.begun.map(|(id, _)| id)
    }

    /// Returns how many messages have come.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Notes that a message has come. Returns what confirms it, if it is time for that.
    pub fn receive(&mut self) -> Option<String> {
        self.received += 1;
        let is_due = self.received - self.confirmed >= CONFIRMED;
        is_due.then(|| {
            self.confirmed = self.received;
            format!("\0{}", self.received)
        })
    }
}

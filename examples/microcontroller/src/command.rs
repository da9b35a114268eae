use stateroom_host_min::ClientId;

/// A line of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Something happens in a room.
    Input {
        /// The name of the room.
        room: &'a str,
        /// The event.
        input: Input<'a>,
    },
    /// The program ends, and reports the memory that it used.
    Stop,
}

/// An event that comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    Connect(ClientId),
    Message(ClientId, &'a str),
    Disconnect(ClientId),
}

impl<'a> Command<'a> {
    /// Reads one of these lines. Returns `None` for all others.
    ///
    /// - `connect ROOM CLIENT`
    /// - `message ROOM CLIENT TEXT`
    /// - `disconnect ROOM CLIENT`
    /// - `stop`
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let verb = words.next()?;
        if verb == "stop" {
            return words.next().is_none().then_some(Self::Stop);
        }
        let room = words.next()?;
        // Clients are numbered from 1 on.
        let number = words
            .next()?
            .parse()
            .ok()
            .filter(|number| (1..=ClientId::MAX.0).contains(number))?;
        let client = ClientId(number);
        let input = match (verb, words.next()) {
            ("connect", None) => Input::Connect(client),
            ("message", text) => Input::Message(client, text.unwrap_or_default()),
            ("disconnect", None) => Input::Disconnect(client),
            _ => return None,
        };
        Some(Self::Input { room, input })
    }
}

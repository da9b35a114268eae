use std::{io, thread};

use smol::channel::{Receiver, Sender, unbounded};

use crate::signals::Signals;

use super::terminal::Terminal;

/// An action that the person who runs `dev` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// End the command.
    End,
    /// Open the page in a browser.
    Open,
    /// Let all rooms start afresh.
    Reset,
}

impl Action {
    /// Returns the action of a key.
    fn of_key(key: u8) -> Option<Self> {
        // Only small letters: function keys send an escape, an `O` and a large one.
        match key {
            // Ctrl-D is the end of a text that is typed.
            b'q' | 4 => Some(Self::End),
            b'o' => Some(Self::Open),
            b'r' => Some(Self::Reset),
            _ => None,
        }
    }
}

/// Receives the actions that signals ask for, and keys if stdin is a terminal.
#[derive(Debug)]
pub(crate) struct Actions {
    receiver: Receiver<Action>,
    terminal: Option<Terminal>,
}

impl Actions {
    /// Receives actions from now on.
    ///
    /// # Errors
    /// The system does not let the process handle signals.
    pub(crate) fn listen() -> io::Result<Self> {
        let (sender, receiver) = unbounded();
        let signals = Signals::new()?;
        let ends = sender.clone();
        thread::spawn(move || {
            // Where signals cannot be waited for, nothing else could end the command.
            let _ = signals.wait();
            let _ = ends.try_send(Action::End);
        });
        let terminal = Terminal::open();
        if terminal.is_some() {
            thread::spawn(move || read_keys(io::stdin().lock(), &sender));
        }
        Ok(Self { receiver, terminal })
    }

    /// Waits for the next action.
    pub(crate) async fn next(&self) -> Action {
        // The thread that waits for signals sends one before it ends.
        self.receiver.recv().await.unwrap_or(Action::End)
    }

    /// Logs the keys, if there are any.
    pub(crate) fn announce(&self) {
        if let Some(terminal) = &self.terminal {
            log::info!("keys{}: o opens the page, r starts all rooms afresh, q ends", terminal.how());
        }
    }
}

/// Passes keys on until there are no more.
fn read_keys(keys: impl io::BufRead, actions: &Sender<Action>) {
    let pressed = keys.bytes().map_while(Result::ok).filter_map(Action::of_key);
    pressed.for_each(|action| _ = actions.try_send(action));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_keys_are_actions_and_others_are_not() {
        let (sender, receiver) = unbounded();
        read_keys(b"xr\no \x1bOQ\x04q".as_slice(), &sender);
        let actions: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert_eq!(actions, [Action::Reset, Action::Open, Action::End, Action::End]);
    }
}

use std::{io, thread};

use smol::channel::{Receiver, Sender, unbounded};

use super::{signals::Signals, terminal::Terminal};

/// What the person who runs `dev` wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// End the command.
    End,
    /// Open the page in a browser.
    Open,
    /// Serve the same guest with new rooms.
    Restart,
}

impl Wish {
    /// Returns the wish that a key stands for.
    fn of_key(key: u8) -> Option<Self> {
        // Only small letters: function keys send an escape, an `O` and a large one.
        match key {
            // Ctrl-D is the end of a text that is typed.
            b'q' | 4 => Some(Self::End),
            b'o' => Some(Self::Open),
            b'r' => Some(Self::Restart),
            _ => None,
        }
    }
}

/// The wishes that come by signals, and by keys if stdin is a terminal.
#[derive(Debug)]
pub(crate) struct Wishes {
    receiver: Receiver<Wish>,
    terminal: Option<Terminal>,
}

impl Wishes {
    /// Receives wishes from now on.
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
            let _ = ends.try_send(Wish::End);
        });
        let terminal = Terminal::open();
        if terminal.is_some() {
            thread::spawn(move || read_keys(io::stdin().lock(), &sender));
        }
        Ok(Self { receiver, terminal })
    }

    /// Waits for the next wish.
    pub(crate) async fn next(&self) -> Wish {
        // The thread that waits for signals sends one before it ends.
        self.receiver.recv().await.unwrap_or(Wish::End)
    }

    /// Logs the keys, if there are any.
    pub(crate) fn announce(&self) {
        if let Some(terminal) = &self.terminal {
            log::info!("keys{}: o opens the page, r restarts the rooms, q ends", terminal.how());
        }
    }
}

/// Passes keys on until there are no more.
fn read_keys(keys: impl io::BufRead, wishes: &Sender<Wish>) {
    let wanted = keys.bytes().map_while(Result::ok).filter_map(Wish::of_key);
    wanted.for_each(|wish| _ = wishes.try_send(wish));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_for_wishes_and_others_for_none() {
        let (sender, receiver) = unbounded();
        read_keys(b"xr\no \x1bOQ\x04q".as_slice(), &sender);
        let wishes: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert_eq!(wishes, [Wish::Restart, Wish::Open, Wish::End, Wish::End]);
    }
}

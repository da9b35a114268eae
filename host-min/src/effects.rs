use alloc::{format, string::String, vec::Vec};

use stateroom_core::{
    LogLevel, MessagePayload, MessageRecipient,
    abi::{CLOSE_REASON_SIZE, is_close_code},
};

use crate::{Limits, TrapReason};

/// An effect: something that an event asks the host to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect<'a> {
    /// Send a message to clients of the room.
    Send {
        /// Its recipients.
        recipient: MessageRecipient,
        /// Its content.
        payload: MessagePayload<'a>,
    },
    /// Hand in [`Event::Timer`](crate::Event::Timer) after this delay, which counts from the time that the event was
    /// [given](crate::Room::handle). This replaces any earlier request.
    SetTimer {
        /// The delay in milliseconds; never 0.
        ms: u32,
    },
    /// Cancel the timer.
    CancelTimer,
    /// Close the connections of clients of the room. Earlier messages to them still arrive, later ones do
    /// not. Each client needs an [`Event::Disconnect`](crate::Event::Disconnect), as if the client had
    /// disconnected.
    Close {
        /// The clients whose connections are closed.
        recipient: MessageRecipient,
        /// The WebSocket close code: 1000, or one from 3000 to 4999.
        code: u16,
        /// The reason, of at most 123 bytes.
        reason: &'a str,
    },
    /// Write a line to the log. This is the only effect of an event that was refused or trapped.
    Log {
        /// Its level.
        level: LogLevel,
        /// The line. A text that a guest passes to `stateroom.log` may contain any characters, also line
        /// breaks.
        text: &'a str,
    },
}

/// The effects of an event in order, in two arenas that live as long as the room. Once these have grown to
/// the usual size, a message needs no allocation.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    entries: Vec<Entry>,
    text: String,
    bytes: Vec<u8>,
    /// The number of entries at the time when the last entry was an unfinished line.
    unfinished: Option<usize>,
    /// The number of entries that have been carried out, if that is done here: see `engine.rs`.
    done: usize,
    /// The last request for a timer, in milliseconds.
    timer: Option<u32>,
}

/// The capacity that an arena keeps between events, in bytes. So rooms are small between two messages, and
/// need no allocation for each message. Rooms that hibernate keep no capacity.
const KEPT: usize = 8 << 10;

/// The most lines that the message of a panic is looked for in, and its maximum size in bytes. A guest decides both.
const PANIC_LINES: usize = 16;
const PANIC_SIZE: usize = 1 << 10;

#[derive(Debug, Clone, Copy)]
enum Entry {
    Text(MessageRecipient, Span),
    Bytes(MessageRecipient, Span),
    Timer(u32),
    Close(MessageRecipient, u16, Span),
    Log(LogLevel, Span),
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begin: usize,
    end: usize,
}

/// Shortens the place of a panic in Rust's own libraries: `/rustc/`, 40 digits and `/library/std/src/…` become `std/src/…`. The rest
/// of the words would not fit into the reason of a close frame.
fn short(place: &str) -> &str {
    let rest = place.strip_prefix("/rustc/").and_then(|rest| rest.split_once("/library/"));
    rest.filter(|(version, _)| !version.contains('/')).map_or(place, |(_, rest)| rest)
}

impl Arena {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.text.clear();
        self.bytes.clear();
        self.unfinished = None;
        self.done = 0;
        self.timer = None;
        self.entries.shrink_to(KEPT / size_of::<Entry>());
        self.text.shrink_to(KEPT);
        self.bytes.shrink_to(KEPT);
    }

    /// Frees the memory that is not used.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.text.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Notes that `effects` more effects have been carried out. Frees their memory after the last one.
    pub(crate) fn note_done(&mut self, effects: usize) {
        self.done += effects;
        if self.done >= self.entries.len() {
            self.clear();
        }
    }

    /// Returns its size in bytes.
    pub(crate) fn held(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.text.capacity() + self.bytes.capacity()
    }

    /// Removes everything except log lines, because the event has failed.
    pub(crate) fn undo(&mut self) {
        self.entries.retain(|entry| matches!(entry, Entry::Log(..)));
        self.timer = None;
    }

    /// Takes the message of a panic from the log lines of an event that has failed, if the guest has written one last.
    /// Returns its place and its words.
    ///
    /// The SDK writes it as one line, and Rust's standard library to standard error:
    ///
    /// ```text
    ///
    /// thread 'main' (1) panicked at src/lib.rs:1:2:
    /// the words
    /// note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
    /// ```
    pub(crate) fn take_panic(&mut self) -> Option<String> {
        let line = |entry: &Entry| match *entry {
            Entry::Log(LogLevel::Error | LogLevel::Warn, Span { begin, end }) => &self.text[begin..end],
            _ => "",
        };
        let lines = self.entries.iter().map(line).enumerate().rev().take(PANIC_LINES);
        let (begin, before, place) = lines.into_iter().find_map(|(index, line)| {
            let (before, place) = line.split_once("panicked at ")?;
            (before.is_empty() || before.starts_with("thread '")).then_some((index, before, place))
        })?;
        let mut message = String::from(short(place));
        for line in self.entries[begin + 1..].iter().map(line).filter(|line| !line.starts_with("note: ")) {
            message.push('\n');
            message.push_str(line);
        }
        let cut = message.len() - message.floor_char_boundary(PANIC_SIZE);
        if cut > 0 {
            message.truncate(message.len() - cut);
            message.push_str(&format!(" … (+{cut} bytes)"));
        }
        // The library writes an empty line first, or ends the line that the guest has begun.
        let is_blank = |entry: &Entry| matches!(entry, Entry::Log(_, span) if span.begin == span.end);
        let is_led = !before.is_empty() && begin > 0 && is_blank(&self.entries[begin - 1]);
        self.entries.truncate(begin - usize::from(is_led));
        Some(message.replacen(":\n", ": ", 1))
    }

    pub(crate) fn send_text(
        &mut self,
        recipient: MessageRecipient,
        text: &str,
        limits: &Limits,
    ) -> Result<(), TrapReason> {
        self.admit(text.len(), limits)?;
        let span = self.push_text(text);
        self.entries.push(Entry::Text(recipient, span));
        Ok(())
    }

    pub(crate) fn send_bytes(
        &mut self,
        recipient: MessageRecipient,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(), TrapReason> {
        self.admit(bytes.len(), limits)?;
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let span = Span { begin, end: self.bytes.len() };
        self.entries.push(Entry::Bytes(recipient, span));
        Ok(())
    }

    pub(crate) fn set_timer(&mut self, ms: u32, limits: &Limits) -> Result<(), TrapReason> {
        self.admit(0, limits)?;
        self.entries.push(Entry::Timer(ms));
        self.timer = Some(ms);
        Ok(())
    }

    /// Returns the last request for a timer in milliseconds, or 0 if that has cancelled it.
    pub(crate) fn timer(&self) -> Option<u32> {
        self.timer
    }

    pub(crate) fn close(
        &mut self,
        recipient: MessageRecipient,
        code: u32,
        reason: &str,
        limits: &Limits,
    ) -> Result<(), TrapReason> {
        let wrong = TrapReason::CloseCode { code };
        let code = u16::try_from(code).ok().filter(|_| is_close_code(code)).ok_or(wrong)?;
        if reason.len() > CLOSE_REASON_SIZE {
            return Err(TrapReason::CloseReasonTooLong { size: reason.len() });
        }
        self.admit(reason.len(), limits)?;
        let span = self.push_text(reason);
        self.entries.push(Entry::Close(recipient, code, span));
        Ok(())
    }

    pub(crate) fn log(&mut self, level: LogLevel, text: &str, limits: &Limits) -> Result<(), TrapReason> {
        if text.len() > limits.message_size {
            return Err(TrapReason::MessageTooLarge { size: text.len(), limit: limits.message_size });
        }
        self.admit(text.len(), limits)?;
        let span = self.push_text(text);
        self.entries.push(Entry::Log(level, span));
        Ok(())
    }

    /// Adds printed text as log lines. The text may arrive in pieces. A line ends at a line break, at the end
    /// of the event, or at another effect.
    pub(crate) fn print(&mut self, level: LogLevel, text: &str, limits: &Limits) -> Result<(), TrapReason> {
        for piece in text.split_inclusive('\n') {
            let line = piece.trim_end_matches(['\r', '\n']);
            let goes_on = self.unfinished.take() == Some(self.entries.len());
            match self.entries.last() {
                Some(&Entry::Log(begun, Span { begin, .. })) if goes_on && begun == level => {
                    self.admit(line.len(), limits)?;
                    self.entries.pop();
                    let Span { end, .. } = self.push_text(line);
                    self.entries.push(Entry::Log(level, Span { begin, end }));
                }
                _ => self.log(level, line, limits)?,
            }
            if !piece.ends_with('\n') {
                self.unfinished = Some(self.entries.len());
            }
        }
        Ok(())
    }

    /// Returns the end of the effects' text, or of their bytes, which is the begin of the next effect.
    pub(crate) fn end(&self, bytes: bool) -> usize {
        if bytes { self.bytes.len() } else { self.text.len() }
    }

    /// Adds a piece of the text of an effect that has been [admitted](Self::admit) as a whole.
    pub(crate) fn extend_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(crate) fn extend_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Makes an effect of all text from `begin` on.
    pub(crate) fn end_text(&mut self, recipient: MessageRecipient, begin: usize) {
        let span = Span { begin, end: self.text.len() };
        self.entries.push(Entry::Text(recipient, span));
    }

    pub(crate) fn end_bytes(&mut self, recipient: MessageRecipient, begin: usize) {
        let span = Span { begin, end: self.bytes.len() };
        self.entries.push(Entry::Bytes(recipient, span));
    }

    pub(crate) fn end_log(&mut self, level: LogLevel, begin: usize) {
        let span = Span { begin, end: self.text.len() };
        self.entries.push(Entry::Log(level, span));
    }

    fn push_text(&mut self, text: &str) -> Span {
        let begin = self.text.len();
        self.text.push_str(text);
        Span { begin, end: self.text.len() }
    }

    /// Checks that one more effect with this number of bytes is within the limits.
    pub(crate) fn admit(&self, len: usize, limits: &Limits) -> Result<(), TrapReason> {
        if self.entries.len() >= limits.effects {
            return Err(TrapReason::TooManyEffects { limit: limits.effects });
        }
        if self.text.len() + self.bytes.len() + len > limits.effect_bytes {
            return Err(TrapReason::TooManyEffectBytes { limit: limits.effect_bytes });
        }
        Ok(())
    }

    /// Returns true if there are entries that have not been carried out.
    pub(crate) fn has_left(&self) -> bool {
        self.done < self.entries.len()
    }

    pub(crate) fn iter(&self) -> Effects<'_> {
        Effects { arena: self, next: 0 }
    }
}

/// The effects of an event, in the order in which the guest asked for them.
#[derive(Debug, Clone)]
pub struct Effects<'a> {
    arena: &'a Arena,
    next: usize,
}

impl Effects<'_> {
    pub(crate) fn none(mut self) -> Self {
        self.next = self.arena.entries.len();
        self
    }

    /// Returns the last request for the timer in milliseconds, or 0 if that has cancelled it.
    pub(crate) fn timer(&self) -> Option<u32> {
        self.arena.timer
    }

    /// Returns the effects that have not been carried out.
    pub(crate) fn rest(mut self) -> Self {
        self.next = self.next.max(self.arena.done);
        self
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Effect<'a>;

    // Its result takes more to be handed on than to be made.
    #[inline(always)]
    fn next(&mut self) -> Option<Effect<'a>> {
        let entry = *self.arena.entries.get(self.next)?;
        self.next += 1;
        let text = |span: Span| &self.arena.text[span.begin..span.end];
        Some(match entry {
            Entry::Text(recipient, span) => {
                Effect::Send { recipient, payload: MessagePayload::Text(text(span)) }
            }
            Entry::Bytes(recipient, span) => Effect::Send {
                recipient,
                payload: MessagePayload::Bytes(&self.arena.bytes[span.begin..span.end]),
            },
            Entry::Timer(0) => Effect::CancelTimer,
            Entry::Timer(ms) => Effect::SetTimer { ms },
            Entry::Close(recipient, code, span) => Effect::Close { recipient, code, reason: text(span) },
            Entry::Log(level, span) => Effect::Log { level, text: text(span) },
        })
    }
}

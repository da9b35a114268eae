use std::fmt;

use stateroom_host_min::{LoadError, Problem, Trap, TrapReason};
use stateroom_sdk_core::abi;

use super::session::{Failure, Kind};

/// The results of the checks of a module.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    notes: Vec<String>,
}

/// A problem, and the fix for it.
pub(crate) struct Finding {
    cause: Cause,
    wrong: String,
    fix: String,
}

/// The place of a fault. Only one fault is reported for each place. Others there have the same reason, or are
/// found in the next check.
#[derive(Debug, PartialEq, Eq)]
enum Cause {
    Load,
    Room,
    Export(&'static str),
    Event(Kind),
    Growth,
}

impl Report {
    pub(crate) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    pub(crate) fn notes(&self) -> impl Iterator<Item = &String> {
        self.notes.iter()
    }

    /// Adds a note about something that is useful to know, but not wrong.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds the problems of a module that is not a guest.
    pub(crate) fn refused(&mut self, error: &LoadError) {
        if let LoadError::NotAGuest(problems) = error {
            let finding = |problem: &Problem| Finding {
                cause: Cause::Load,
                wrong: problem.to_string(),
                fix: fix_for_problem(problem).into(),
            };
            self.findings.extend(problems.iter().map(finding));
            return;
        }
        let fix = fix_for_load_error(error).into();
        self.findings.push(Finding { cause: Cause::Load, wrong: error.to_string(), fix });
    }

    /// Adds the failure of a room that was tried `with` something.
    pub(crate) fn failed(&mut self, with: &str, failure: &Failure) {
        let Failure { event, trap } = failure;
        let (cause, fix) = (cause(*event, trap), fix_for_trap(*event, trap));
        let wrong = format!("`{}` fails ({with}): {}", trap.during(), trap.reason());
        self.add(Finding { cause, wrong, fix });
    }

    /// Adds that the guest has no space for a message that it should have space for.
    pub(crate) fn no_space(&mut self, size: usize) {
        let wrong = format!("it has no space for a message of {size} bytes, which is refused");
        let fix = "have `jam_malloc` answer with an address in the memory, for size 0 as well";
        self.add(Finding { cause: Cause::Room, wrong, fix: fix.into() });
    }

    /// Adds that an allocator reports a lack of space with an address.
    pub(crate) fn null(&mut self, export: &'static str, size: usize) {
        let wrong = format!("`{export}` answers 0 for {size} bytes, as if 0 were no address");
        let fix = "0 is an address, and what is handed over is written there: \
                    have it answer 0xffffffff where it has no space";
        self.add(Finding { cause: Cause::Export(export), wrong, fix: fix.into() });
    }

    /// Adds that the guest's memory grows without end.
    pub(crate) fn grows(&mut self, wrong: String) {
        let fix = "have `jam_free` give back what `jam_malloc` has given, \
                    and keep no more of what clients send than has an end";
        self.add(Finding { cause: Cause::Growth, wrong, fix: fix.into() });
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.iter().all(|known| known.cause != finding.cause) {
            self.findings.push(finding);
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever the module itself has put into it.
        write!(f, "{}. Fix: {}.", self.wrong.replace('\n', " "), self.fix)
    }
}

fn cause(event: Kind, trap: &Trap) -> Cause {
    match (trap.reason(), trap.during()) {
        (TrapReason::AllocFailed { .. }, _) => Cause::Room,
        (_, export @ (abi::MALLOC | abi::recv::MALLOC | abi::FREE | abi::recv::FREE)) => {
            Cause::Export(export)
        }
        _ => Cause::Event(event),
    }
}

fn fix_for_trap(event: Kind, trap: &Trap) -> String {
    if let Some(fix) = fix_for_reason(trap.reason()) {
        return fix.into();
    }
    match trap.during() {
        abi::MALLOC | abi::recv::MALLOC => {
            "have it answer every size: with an address of so many bytes, or with 0xffffffff for none"
        }
        abi::FREE | abi::recv::FREE => {
            "have it take what the malloc beside it has given, with the same size, and do nothing else"
        }
        _ => fix_for_event(event),
    }
    .into()
}

/// Returns the fix, if it follows from the reason of the trap and not from the event.
fn fix_for_reason(reason: &TrapReason) -> Option<&'static str> {
    Some(match reason {
        TrapReason::AllocFailed { .. } => {
            "have `jam_malloc` answer with an address of so many bytes in the memory"
        }
        TrapReason::MemoryAccess => {
            "see that no pointer leads out of the memory; where it is the stack, ask the linker for a larger one \
             (`stack_size` in `stateroom.toml`), or use less of it"
        }
        TrapReason::MemoryFull { .. } => {
            "free what is no longer needed, or raise `memory` under `[limits]` in `stateroom.toml`"
        }
        TrapReason::StackOverflow => {
            "do with less recursion, or raise `call_depth` under `[limits]` in `stateroom.toml`"
        }
        TrapReason::OutOfFuel { .. } => {
            "do less in one event, and the rest when a timer is due, or raise `fuel` under `[limits]` in \
             `stateroom.toml`"
        }
        TrapReason::MessageTooLarge { .. }
        | TrapReason::TooManyEffects { .. }
        | TrapReason::TooManyEffectBytes { .. } => {
            "send less in one event, and no more than a part of what is very long"
        }
        TrapReason::NotUtf8 => "send as binary what need not be text",
        TrapReason::OutOfBounds { .. } => "pass an address and a length in the memory that it exports",
        TrapReason::CloseCode { .. } => "close with 1000, or with 3000 to 4999",
        TrapReason::CloseReasonTooLong { .. } => "give no more than 123 bytes as the reason",
        TrapReason::Malformed(_) => "encode it as `docs/reference/abi.md` says",
        _ => return None,
    })
}

fn fix_for_event(event: Kind) -> &'static str {
    match event {
        Kind::Init => {
            "no room can begin without it: have it take any id of UTF-8: this server gives 1 to 512 bytes, others may give none"
        }
        Kind::Connect => "have it take any number of clients, with ids from 1 that do not come again",
        Kind::Disconnect => "have it take every client that has connected, in any order",
        Kind::Text => "have it ignore what it does not know, or one client ends the room of all",
        Kind::Binary => {
            "have it ignore what it does not know, which need not be text, or one client ends the room of all"
        }
        Kind::Timer => "have it return whenever the timer is due, also if no client is there",
    }
}

fn fix_for_problem(problem: &Problem) -> &'static str {
    match problem {
        Problem::MissingExport { name: "memory", .. } => {
            "export the memory under this name, as most linkers do by themselves"
        }
        Problem::MissingExport { .. } => "export it, with an empty body if there is nothing to do",
        Problem::WrongExport { .. } => "declare it so; pointers, lengths and clients have 32 bits",
        Problem::UnknownImport { .. } => {
            "define it in the module, or leave out what calls it (`docs/reference/abi.md` lists what may be imported)"
        }
        Problem::WrongImport { .. } => "declare it as it is here",
        Problem::MoreImports { .. } => "fix those that are listed first",
        Problem::WasmBindgen { .. } => "leave out what depends on it",
        Problem::Command => "build a library, without a `main`",
        Problem::Version { .. } => {
            "build it for this version, or leave out the globals that name another one"
        }
        _ => "see `docs/reference/abi.md`",
    }
}

fn fix_for_load_error(error: &LoadError) -> &'static str {
    match error {
        LoadError::NotWasm | LoadError::Component => {
            "give the core module that the compiler or linker writes"
        }
        LoadError::TooLarge { .. } => {
            "strip names and debugging information, and let the compiler optimise for size"
        }
        LoadError::TooMany { .. } => "let the compiler optimise for size",
        LoadError::Invalid(_) => {
            "see that the file is whole, and build it with no more of WebAssembly than `docs/reference/abi.md` lists"
        }
        LoadError::CannotStart(_) => {
            "ask the linker for a smaller memory, stack or table, or raise the limit in `stateroom.toml`"
        }
        LoadError::Trapped(_) => {
            "do less before the first event, and nothing that needs a host: it comes with `initialize`"
        }
        _ => "see `docs/reference/abi.md`",
    }
}

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of files that must be open, and the number that may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFew {
    pub(crate) needed: u64,
    pub(crate) allowed: u64,
}

/// Makes sure that this number of sockets and files can be open. Raises the limit as far as the system
/// allows. Many systems begin with 1024, for old programs, and let each program raise its limit.
pub(crate) fn allow(files: usize) -> Result<(), TooFew> {
    let needed = files as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let within = Rlimit { current: Some(maximum.map_or(needed, |maximum| maximum.min(needed))), maximum };
    // Who may raise the upper limit, too, is allowed to.
    let beyond = Rlimit { current: Some(needed), maximum: Some(needed) };
    if maximum.is_some_and(|maximum| maximum < needed) && setrlimit(Resource::Nofile, beyond).is_ok() {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, within).is_ok();
    let allowed = if raised { within.current } else { current };
    match allowed.unwrap_or(needed) {
        allowed if allowed >= needed => Ok(()),
        allowed => Err(TooFew { needed, allowed }),
    }
}

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides sockets.
const OTHERS: u64 = 32;

/// Makes sure that so many sockets can be open: raises the limit as far as the system lets this process.
pub(crate) fn allow(sockets: usize) -> Result<()> {
    let needed = sockets as u64 + OTHERS;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let within = Rlimit { current: Some(needed), maximum };
    // Who may raise the upper limit, too, is allowed to.
    let beyond = Rlimit { current: Some(needed), maximum: Some(needed) };
    let raised = setrlimit(Resource::Nofile, within).or_else(|_| setrlimit(Resource::Nofile, beyond));
    ensure!(
        raised.is_ok(),
        "{sockets} connections take {needed} open files, and this process may have {}: raise the limit with \
         `ulimit -n {needed}` as root, or in /etc/security/limits.conf; the server needs as many",
        maximum.or(current).unwrap_or_default(),
    );
    Ok(())
}

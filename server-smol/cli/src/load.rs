use anyhow::{Error, Result, anyhow};
use stateroom_load::LoadArgs;

use super::open_files::{self, TooFew};

/// The number of files that are open in addition to the connections.
const OTHERS: usize = 64;

/// `stateroom load`: makes sure that enough sockets can be open. The rest is in a separate package.
pub(crate) fn run(args: LoadArgs) -> Result<()> {
    let connections = args.connections();
    open_files::allow(connections.saturating_add(OTHERS)).map_err(|TooFew { needed, allowed }| {
        anyhow!(
            "{connections} connections take {needed} open files, and this process may have {allowed}: raise the limit \
             with `ulimit -n {needed}` as root, or in /etc/security/limits.conf; the server needs as many"
        )
    })?;
    stateroom_load::run(args).map_err(Error::new)
}

//! `stateroom inspect`: describes and checks modules.

mod description;
mod finding;
mod probe;
mod script;
mod session;

use anyhow::{Result, bail};
use stateroom_server_smol::Settings;

use self::description::Description;
use super::{
    args::InspectArgs,
    module::{self, program},
    serve::{self, Found},
    stdout::say,
};

/// The bytes with which every module begins.
const MAGIC: &[u8] = b"\0asm";

/// `stateroom inspect`
pub(crate) fn run(args: InspectArgs) -> Result<()> {
    let Found { module: path, config, .. } = serve::locate(&args.module)?;
    let limits = config.limits.bounds(Settings::default())?.guest;
    let bytes = module::bytes(&path)?;
    let shown = path.display();
    if !args.check {
        // There is nothing to describe of what is no module.
        if !bytes.starts_with(MAGIC) {
            program(&path, &bytes, limits)?;
        }
        say(format_args!("{shown}: {}", Description::of(&bytes)));
        program(&path, &bytes, limits)?;
        say("It loads. `stateroom inspect --check` says how it behaves.");
        return Ok(());
    }

    let report = script::check(&bytes, limits, &args);
    report.findings().for_each(|finding| say(format_args!("- {finding}")));
    report.notes().for_each(|note| say(format_args!("Note: {note}.")));
    match report.findings().count() {
        0 => say(format_args!("{shown} conforms.")),
        1 => bail!("`{shown}` does not conform: there is one thing to fix"),
        count => bail!("`{shown}` does not conform: there are {count} things to fix"),
    }
    Ok(())
}

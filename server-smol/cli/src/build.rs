use anyhow::Result;
use stateroom_server_smol::Settings;

use super::{
    args::BuildArgs, dist::Dist, module, optimizer, project::Project, prune::prune, purpose::Purpose,
};

/// `stateroom build`
pub(crate) fn run(args: BuildArgs) -> Result<()> {
    let project = Project::open(args.project)?;
    let limits = project.config.limits.bounds(Settings::default())?.guest;
    // Whether the result may be written is asked before the long work.
    let dist = Dist::of(&project.directory)?;
    let built = project.build(Purpose::Release)?;
    // A guest that no server would take is better told of here than there.
    let program = module::guest(&built, limits)?;
    let bytes = program.module().unwrap_or_default().to_vec();
    let bytes = optimizer::optimize(prune(bytes, limits), project.portable, limits, dist.begin()?);

    let path = dist.module();
    dist.finish(&bytes, &project.config)?;
    log::info!("built {}: {}", path.display(), size(bytes.len()));
    Ok(())
}

fn size(bytes: usize) -> String {
    if bytes < 10_000 {
        format!("{bytes} bytes")
    } else {
        format!("{bytes} bytes ({} KiB)", bytes.div_ceil(1024))
    }
}

use anyhow::Result;

use super::{args::DevArgs, module, project::Project, serve::serve};

/// `stateroom dev`
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let project = Project::open(args.project)?;
    let program = module::read(&project.build()?)?;
    let static_files = project.config.static_files;
    if let Some(host) = args.server.host() {
        let page = static_files.as_ref().map(|_| format!("http://{host}/ and ")).unwrap_or_default();
        log::info!(
            "{} is going to be at {page}ws://{host}/ws (the room `default`), ws://{host}/ws/<room>",
            project.package.name
        );
    }
    serve(args.server.server().with_static_files(static_files), program)
}

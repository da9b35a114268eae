use std::sync::Arc;

use serde_json::Value;
use smol::unblock;

use crate::{
    guests::Deployment,
    journal::hex,
    requests::object,
    room::{Renewals, Rooms},
    worker::{Ending, Workers},
};

/// Loads the program of all rooms again, and lets them run it.
///
/// # Errors
/// Says why this is not possible. The rooms keep their program.
pub(crate) async fn reload(deployment: &Arc<Deployment>, workers: &Workers) -> Result<Renewals, String> {
    let (deployment, workers) = (Arc::clone(deployment), workers.clone());
    // It reads a file, and translates it. All threads are told here, so that it happens even if nobody waits for it any more.
    let renewing = unblock(move || {
        deployment.reload()?;
        Ok::<_, String>(workers.begin_renewal())
    });
    renewing.await?.finish().await.map_err(|Ending| "the server is ending".to_owned())
}

/// Returns the programs that rooms run.
pub(super) fn modules(deployment: &Deployment) -> Value {
    let module = |module: crate::guests::ModuleStatus| {
        object(vec![
            ("sha256", hex(&module.hash).into()),
            ("rooms", module.rooms.into()),
            ("is_current", module.is_current.into()),
        ])
    };
    deployment.modules().into_iter().map(module).collect()
}

/// Returns what has become of rooms.
pub(super) fn renewals(renewals: &Renewals) -> Vec<(&'static str, Value)> {
    let rooms = |rooms: &Rooms| rooms.count.into();
    vec![
        ("loaded", rooms(&renewals.loaded)),
        ("replayed", rooms(&renewals.replayed)),
        ("fresh", rooms(&renewals.fresh)),
        ("kept", rooms(&renewals.kept)),
    ]
}

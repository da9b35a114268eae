use std::{future::Future, io, time::Duration};

use smol::{Timer, future::or};

/// The time in which a server answers, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something, but only for so long.
pub(crate) async fn within<T>(time: Duration, wanted: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let too_long = async {
        Timer::after(time).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    or(wanted, too_long).await
}

use smol::{
    channel::{Receiver, Sender, bounded, unbounded},
    future::yield_now,
};

/// Lets long events go on one slice at a time, each in its turn, with a look at the sockets between any two
/// slices.
///
/// A task that merely yields comes back before the executor looks at the sockets again, and a hundred of them
/// delay everything by a hundred slices.
#[derive(Debug)]
pub(crate) struct Turns {
    queue: Sender<Sender<()>>,
    waiting: Receiver<Sender<()>>,
}

impl Turns {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = unbounded();
        Self { queue, waiting }
    }

    /// Waits until an event may go on.
    pub(crate) async fn wait(&self) {
        let (turn, granted) = bounded(1);
        if self.queue.send(turn).await.is_ok() {
            // Fails only where the server ends.
            let _ = granted.recv().await;
        }
    }

    /// Grants turns. This has to run beside the executor, not in it: then each yield is a look at the
    /// sockets.
    pub(crate) async fn grant(&self) {
        while let Ok(turn) = self.waiting.recv().await {
            yield_now().await;
            // Fails only where the event is gone.
            let _ = turn.try_send(());
        }
    }
}

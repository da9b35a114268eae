use std::{
    cell::Cell,
    collections::BTreeMap,
    io,
    rc::Rc,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use fastrand::Rng;
use smol::{LocalExecutor, Timer, block_on, channel, future};

use crate::{
    healthy::{Healthy, PACE},
    room::Room,
    stranger::Stranger,
    stream::Target,
    tally::Tally,
};

/// The number of strangers. Each has one connection at a time.
const STRANGERS: usize = 300;

/// One in so many rooms has a second client that does nothing wrong, and another one that breaks off and comes back.
const SECOND: usize = 10;
const RETURNING: usize = 20;

/// All clients, on a thread of their own.
#[derive(Debug)]
pub(crate) struct Crowd {
    thread: JoinHandle<Story>,
    come: mpsc::Receiver<()>,
    stop: channel::Sender<()>,
}

/// The deeds and findings of the clients.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// The number of clients that stay.
    pub(crate) healthy: usize,
    pub(crate) heard: u64,
    pub(crate) resumptions: u64,
    pub(crate) failures: Vec<String>,
}

impl Crowd {
    /// Lets all come.
    pub(crate) fn begin(target: Target, rooms: usize, seed: u64) -> Self {
        let (stop, stopped) = channel::bounded(1);
        let (all_come, come) = mpsc::channel();
        let thread = thread::spawn(move || live(&target, rooms, seed, &all_come, &stopped));
        Self { thread, come, stop }
    }

    /// Waits until those that stay have come.
    pub(crate) fn come(&self, patience: Duration) -> Result<(), String> {
        self.come.recv_timeout(patience).map_err(|_| "the clients do not all get in".to_owned())
    }

    /// Returns true if there is nobody left.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets strangers vanish, and the others leave when they have heard everything.
    pub(crate) fn end(self) -> Result<Story, String> {
        drop(self.stop);
        self.thread.join().map_err(|panic| match panic.downcast::<String>() {
            Ok(words) => format!("a client has found an error: {words}"),
            Err(_) => "a client has found an error: see above".to_owned(),
        })
    }
}

fn live(
    target: &Target,
    rooms: usize,
    seed: u64,
    come: &mpsc::Sender<()>,
    stopped: &channel::Receiver<()>,
) -> Story {
    let (healthy, strangers) = (LocalExecutor::new(), LocalExecutor::new());
    let rooms: Rc<Vec<_>> = Rc::new((0..rooms).map(|number| Rc::new(Room::new(number))).collect());
    let tally = Rc::new(Tally::default());
    let mut rng = Rng::with_seed(seed);
    let entered = Rc::new(Cell::new(0));
    let talking = Rc::new(Cell::new(0));
    let mut tasks = Vec::new();
    for (number, room) in rooms.iter().enumerate() {
        let kinds = [(true, false), (number % SECOND == 0, false), (number % RETURNING == 0, true)];
        for (_, returns) in kinds.into_iter().filter(|(is_there, _)| *is_there) {
            let client = Healthy::new(target, room, rng.fork(), returns);
            talking.set(talking.get() + 1);
            let stay = stay(client, stopped.clone(), Rc::clone(&entered), Rc::clone(&talking));
            let (tally, name) = (Rc::clone(&tally), room.name.clone());
            tasks.push(healthy.spawn(async move {
                let (client, end) = stay.await;
                tally.heard.update(|heard| heard + client.messages);
                let resumptions = client.session.map_or(0, |session| session.resumptions);
                tally.resumptions.update(|all| all + resumptions as u64);
                if let Err(error) = end {
                    tally.fail(format!("a client that has done nothing wrong in {name}: {error}"));
                }
            }));
        }
    }
    let count = tasks.len();
    let all_come = async {
        while entered.get() < count {
            Timer::after(Duration::from_millis(20)).await;
        }
        let _ = come.send(());
        for _ in 0..STRANGERS {
            let (target, rooms, tally) = (target.clone(), Rc::clone(&rooms), Rc::clone(&tally));
            strangers.spawn(Stranger { target, rooms, tally, rng: rng.fork() }.live()).detach();
        }
        // It ends with them.
        let _ = stopped.recv().await;
    };
    let before_end = strangers.run(all_come);
    block_on(healthy.run(future::zip(before_end, async {
        let _ = stopped.recv().await;
    })));
    drop(strangers);
    block_on(healthy.run(async {
        for task in tasks {
            task.await;
        }
    }));
    Story {
        counts: tally.counts(),
        healthy: count,
        heard: tally.heard.get(),
        resumptions: tally.resumptions.get(),
        failures: tally.failures(),
    }
}

/// Lets a client come, talk and leave.
pub(crate) fn visit(target: &Target) -> io::Result<()> {
    block_on(async {
        let mut client = Healthy::new(target, &Rc::new(Room::new(0)), Rng::with_seed(0), false);
        let socket = client.come().await?;
        client.talk(socket, 1, 0, future::pending()).await?.leave().await
    })
}

/// Stays until the end, and leaves when all have heard everything.
async fn stay(
    mut client: Healthy,
    stopped: channel::Receiver<()>,
    entered: Rc<Cell<usize>>,
    talking: Rc<Cell<usize>>,
) -> (Healthy, io::Result<()>) {
    let stop = async {
        // Nothing is ever sent.
        let _ = stopped.recv().await;
    };
    let come = client.come().await;
    entered.set(entered.get() + 1);
    let talked = match come {
        Ok(socket) => client.talk(socket, u64::MAX, PACE, stop).await,
        Err(error) => Err(error),
    };
    // Others wait for it, whether or not it has come to something.
    talking.set(talking.get() - 1);
    let end = match talked {
        Ok(mut socket) => match client.hear_rest(&mut socket, || talking.get() == 0).await {
            Ok(()) => socket.leave().await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    (client, end)
}

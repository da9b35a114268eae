use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Instant,
};

use crate::{settings::Settings, subnet::Subnet};

use super::{TooFast, address_rates::AddressRates};

/// Counts the connections of all threads, and knows which of them have asked for nothing: where there are too many, those go
/// first, so that nobody keeps others out by being silent.
#[derive(Debug, Clone)]
pub(crate) struct Permits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    most_per_address: Option<usize>,
    state: Mutex<State>,
    /// True if the system has no file descriptor for another connection.
    lacks_files: AtomicBool,
    room_rates: AddressRates,
    join_rates: AddressRates,
}

#[derive(Default)]
struct State {
    /// The number of permits, without those that are evicted.
    taken: usize,
    /// The number of evicted connections that are not closed yet.
    evicted: usize,
    /// The counts of connections by address, if they are counted.
    by_subnet: HashMap<Subnet, usize>,
    /// The connections that have asked for nothing since they came, or since they were answered: the oldest first.
    /// They are woken when they are taken out.
    idle: BTreeMap<u64, Option<Waker>>,
    last_idle: u64,
    /// The tasks that wait for a connection to end.
    waiting: Vec<Waker>,
}

/// The permission for a connection, from its arrival to its end, whatever it becomes and on whichever thread.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Permits,
    /// The network that it comes from, as far as is known.
    subnet: Subnet,
    /// True if it is among the connections of its network.
    is_counted: bool,
    /// Its key among the idle ones. If it has a key and is not among them, it is evicted.
    idle: Option<u64>,
}

/// An error: an address has its maximum number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyOfAddress;

/// The number of connections beyond the maximum that are accepted for a moment each, so that the server can refuse
/// them with an answer, and `/status` can be asked. As many may be about to end.
const SPARE: usize = 64;

impl Permits {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self(Arc::new(Shared {
            most: settings.max_connections,
            most_per_address: settings.max_connections_per_address,
            state: Mutex::default(),
            lacks_files: AtomicBool::new(false),
            room_rates: AddressRates::new(settings.room_rate),
            join_rates: AddressRates::new(settings.join_rate),
        }))
    }

    /// Takes a permit for a connection. If all permits are taken, the connection that has asked for nothing for
    /// longest is closed to make space.
    ///
    /// # Errors
    /// There are as many from its address as there may be.
    pub(crate) fn take(&self, address: IpAddr) -> Result<Permit, TooManyOfAddress> {
        let subnet = Subnet::of(address);
        let mut state = self.state();
        state.count(subnet, self.0.most_per_address)?;
        state.take(self.0.most);
        drop(state);
        Ok(Permit { permits: self.clone(), subnet, is_counted: true, idle: None })
    }

    /// Takes a permit for a connection of a proxy, which is not counted for the proxy's address.
    #[cfg(feature = "proxy")]
    pub(crate) fn take_for_proxy(&self, address: IpAddr) -> Permit {
        self.state().take(self.0.most);
        Permit { permits: self.clone(), subnet: Subnet::of(address), is_counted: false, idle: None }
    }

    /// Returns whether there are more connections than there may be clients.
    pub(crate) fn are_exceeded(&self) -> bool {
        self.state().taken > self.0.most
    }

    /// Ready when another connection may be accepted.
    pub(crate) fn poll_place(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let most = self.0.most.saturating_add(SPARE);
        let has_place = state.taken < most || !state.idle.is_empty();
        if has_place && state.evicted < SPARE {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    /// Closes the connection that has asked for nothing for longest. Returns whether there was one.
    pub(crate) fn evict(&self) -> bool {
        self.state().evict()
    }

    /// Notes whether the system has no file descriptor for another connection.
    pub(crate) fn set_lacks_files(&self, lacks_files: bool) {
        self.0.lacks_files.store(lacks_files, Ordering::Relaxed);
    }

    /// Returns whether connections that end have to give their file descriptors back at once.
    pub(crate) fn lacks_files(&self) -> bool {
        self.0.lacks_files.load(Ordering::Relaxed)
    }

    /// Ready when all that are [evicted](Self::evict) have ended.
    pub(crate) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.evicted == 0 {
            return Poll::Ready(());
        }
        state.wait(cx);
        Poll::Pending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a connection. If all permits are taken, one that has asked for nothing makes space.
    fn take(&mut self, most: usize) {
        if self.taken >= most {
            self.evict();
        }
        self.taken += 1;
    }

    /// Counts a connection for its network, if they are counted.
    fn count(&mut self, subnet: Subnet, most: Option<usize>) -> Result<(), TooManyOfAddress> {
        let Some(most) = most else { return Ok(()) };
        let count = self.by_subnet.entry(subnet).or_default();
        if *count >= most {
            return Err(TooManyOfAddress);
        }
        *count += 1;
        Ok(())
    }

    /// Counts a connection no more for its network.
    fn discount(&mut self, subnet: Subnet) {
        if let Some(count) = self.by_subnet.get_mut(&subnet) {
            *count -= 1;
            if *count == 0 {
                self.by_subnet.remove(&subnet);
            }
        }
    }

    /// Wakes a task when a connection ends. A task that waits already is woken once.
    fn wait(&mut self, cx: &Context<'_>) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(cx.waker())) {
            self.waiting.push(cx.waker().clone());
        }
    }

    fn evict(&mut self) -> bool {
        let Some((_, waker)) = self.idle.pop_first() else { return false };
        self.taken -= 1;
        self.evicted += 1;
        waker.into_iter().for_each(Waker::wake);
        true
    }
}

impl Permit {
    /// Notes whether the connection has asked for nothing, or is answered. One that asks just as it is evicted stays.
    pub(crate) fn set_idle(&mut self, is_idle: bool) {
        let mut state = self.permits.state();
        if let Some(key) = self.idle.take()
            && state.idle.remove(&key).is_none()
        {
            state.evicted -= 1;
            state.taken += 1;
        }
        if is_idle {
            state.last_idle += 1;
            self.idle = Some(state.last_idle);
            let key = state.last_idle;
            state.idle.insert(key, None);
        }
    }

    /// Returns the network that the connection comes from.
    pub(crate) fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Counts the connection for another address, that of the client behind a proxy.
    ///
    /// # Errors
    /// There are as many from there as there may be. It is counted as before then.
    #[cfg(feature = "proxy")]
    pub(crate) fn move_to(&mut self, address: IpAddr) -> Result<(), TooManyOfAddress> {
        let subnet = Subnet::of(address);
        if self.is_counted && self.subnet == subnet {
            return Ok(());
        }
        let mut state = self.permits.state();
        state.count(subnet, self.permits.0.most_per_address)?;
        if self.is_counted {
            state.discount(self.subnet);
        }
        drop(state);
        (self.subnet, self.is_counted) = (subnet, true);
        Ok(())
    }

    /// Takes note of a room that a client is about to create.
    ///
    /// # Errors
    /// It may not, as too many are created from its address.
    pub(crate) fn create_room(&self, subnet: Subnet, now: Instant) -> Result<(), TooFast> {
        self.permits.0.room_rates.take(subnet, now)
    }

    /// Takes note of a client that asks for a room.
    ///
    /// # Errors
    /// It may not, as too many of its address ask.
    pub(crate) fn join(&self, subnet: Subnet, now: Instant) -> Result<(), TooFast> {
        self.permits.0.join_rates.take(subnet, now)
    }

    /// Ready when the connection is evicted.
    pub(crate) fn poll_evicted(&self, cx: &Context<'_>) -> Poll<()> {
        let Some(key) = self.idle else { return Poll::Pending };
        match self.permits.state().idle.get_mut(&key) {
            None => Poll::Ready(()),
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.set_idle(false);
        let mut state = self.permits.state();
        state.taken -= 1;
        if self.is_counted {
            state.discount(self.subnet);
        }
        state.waiting.drain(..).for_each(Waker::wake);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("taken", &self.taken)
            .field("evicted", &self.evicted)
            .field("idle", &self.idle.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    fn permits(max_connections: usize, max_connections_per_address: Option<usize>) -> Permits {
        Permits::new(&Settings { max_connections, max_connections_per_address, ..Settings::default() })
    }

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn idle(permits: &Permits) -> Permit {
        let mut permit = permits.take(address(1)).unwrap();
        permit.set_idle(true);
        permit
    }

    fn is_evicted(permit: &Permit) -> bool {
        permit.poll_evicted(&Context::from_waker(Waker::noop())).is_ready()
    }

    fn has_place(permits: &Permits) -> bool {
        permits.poll_place(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_that_has_asked_for_nothing_makes_place() {
        let permits = permits(3, None);
        let (mut first, second, third) = (idle(&permits), idle(&permits), permits.take(address(1)).unwrap());
        // It has been answered, and is the youngest now.
        first.set_idle(false);
        first.set_idle(true);
        let fourth = permits.take(address(2)).unwrap();
        assert_eq!([&first, &second, &third, &fourth].map(is_evicted), [false, true, false, false]);
        let fifth = permits.take(address(2)).unwrap();
        assert!(is_evicted(&first));
        assert!(!permits.are_exceeded());
        // Nobody is silent any more.
        let sixth = permits.take(address(2)).unwrap();
        assert!(permits.are_exceeded());
        drop(sixth);
        assert!(!permits.are_exceeded());
        drop((first, second, third, fourth, fifth));
        let state = permits.state();
        assert_eq!((state.taken, state.evicted, state.idle.len()), (0, 0, 0));
    }

    #[test]
    fn who_asks_just_as_it_is_evicted_stays() {
        let permits = permits(1, None);
        let mut first = idle(&permits);
        let second = permits.take(address(2)).unwrap();
        assert!(is_evicted(&first));
        first.set_idle(false);
        assert!(!is_evicted(&first) && permits.are_exceeded());
        drop((first, second));
        assert_eq!(permits.state().taken, 0);
    }

    /// The task that accepts connections.
    struct Accepting;

    impl Wake for Accepting {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn connections_are_accepted_while_there_are_not_too_many_that_ask() {
        let permits = permits(1, None);
        let mut all: Vec<_> = (0..1 + SPARE).map(|_| permits.take(address(1)).unwrap()).collect();
        assert!(!has_place(&permits));
        all.last_mut().unwrap().set_idle(true);
        assert!(has_place(&permits));
        // Until those that are evicted are gone, they have file descriptors.
        let mut evicted: Vec<_> = (0..SPARE).map(|_| idle(&permits)).collect();
        assert!(permits.evict());
        assert!(!has_place(&permits));
        permits.state().waiting.clear();
        let waker = Waker::from(Arc::new(Accepting));
        for _ in 0..3 {
            assert!(permits.poll_place(&Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(permits.state().waiting.len(), 1, "a task waits once, however often it asks");
        evicted.clear();
        all.pop();
        assert!(has_place(&permits));
    }

    #[test]
    fn connections_of_an_address_are_counted_if_that_is_wanted() {
        let permits = permits(10, Some(2));
        let of_first = (permits.take(address(1)).unwrap(), permits.take(address(1)).unwrap());
        assert_eq!(permits.take(address(1)).unwrap_err(), TooManyOfAddress);
        let of_second = permits.take(address(2)).unwrap();
        drop(of_first.0);
        let of_first = (permits.take(address(1)).unwrap(), of_first.1);
        assert!(permits.take(address(1)).is_err());
        drop((of_first, of_second));
        assert!(permits.state().by_subnet.is_empty());
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn connections_of_a_proxy_are_counted_for_its_clients() {
        let permits = permits(10, Some(1));
        let mut all: Vec<_> = (0..3).map(|_| permits.take_for_proxy(address(1))).collect();
        assert_eq!(all[0].move_to(address(2)), Ok(()));
        assert_eq!(all[0].move_to(address(2)), Ok(()), "it is there already");
        assert_eq!(all[1].move_to(address(2)), Err(TooManyOfAddress));
        assert_eq!(all[1].move_to(address(1)), Ok(()), "the proxy itself may be a client");
        assert_eq!(all[0].move_to(address(3)), Ok(()));
        assert_eq!(all[2].move_to(address(2)), Ok(()), "there is a place again");
        drop(all);
        let state = permits.state();
        assert!(state.by_subnet.is_empty() && state.taken == 0);
    }
}

use crate::StateroomContext;

/// Several timers, each with its own key. They share the one timer of the room.
///
/// A key identifies a timer. It may be an enum, a [`ClientId`](crate::ClientId), or a pair of both. There is
/// space for `N` timers.
///
/// They use the room's own timer. So a room with `Timers` does not call
/// [`set_timer`](StateroomContext::set_timer) itself. In its [`timer`](crate::StateroomService::timer) it
/// asks them which timers are due:
///
/// ```
/// use stateroom_sdk_core::*;
///
/// /// Turns a light off for those who forget it: each has one minute.
/// #[stateroom_wasm]
/// #[derive(Default)]
/// struct Lights {
///     timers: Timers<ClientId, 32>,
/// }
///
/// impl StateroomService for Lights {
///     fn message(&mut self, client: ClientId, _: MessagePayload<'_>, ctx: &impl StateroomContext) {
///         let text = match self.timers.set(client, 60_000, ctx) {
///             Ok(()) => "on",
///             Err(_) => "no light is free",
///         };
///         ctx.send_message(client, text);
///     }
///
///     fn timer(&mut self, ctx: &impl StateroomContext) {
///         while let Some(client) = self.timers.take_due(ctx) {
///             ctx.send_message(client, "off");
///         }
///     }
///
///     fn disconnect(&mut self, client: ClientId, ctx: &impl StateroomContext) {
///         self.timers.cancel(&client, ctx);
///     }
/// }
/// # #[cfg(feature = "testing")] {
/// # use stateroom_sdk_core::testing::*;
/// # let room = TestRoom::new::<Lights>();
/// # let (one, two) = (room.connect(), room.connect());
/// # one.send("");
/// # room.advance(Duration::from_secs(30));
/// # two.send("");
/// # room.advance(Duration::from_secs(30));
/// # assert_eq!(one.received(), ["on", "off"]);
/// # room.advance(Duration::from_secs(29));
/// # assert_eq!(two.received(), ["on"]);
/// # room.advance(Duration::from_secs(1));
/// # assert_eq!(two.received(), ["off"]);
/// # }
/// ```
///
/// Timers use [`now_ms`](StateroomContext::now_ms). If the machine's clock is set, waiting timers are due
/// that much earlier or later. Timers that are set right after a jump forward may wait for the next timer
/// that was set before it.
#[derive(Debug)]
pub struct Timers<K, const N: usize> {
    /// The timers, in the order in which they were set.
    list: heapless::Vec<Timer<K>, N>,
    /// The time at which the room's timer fires, if it is set. It may be before the next timer here is due. A
    /// timer that fires once too early costs the host less than setting it again for each postponed timer.
    armed: Option<u64>,
}

#[derive(Debug)]
struct Timer<K> {
    key: K,
    due: u64,
}

impl<K, const N: usize> Default for Timers<K, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, const N: usize> Timers<K, N> {
    /// Creates an empty set of timers.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: heapless::Vec::new(), armed: None }
    }

    /// Takes a timer that is due: the one that has been for longest.
    /// [`timer`](crate::StateroomService::timer) is the place for it, until there is none any more.
    pub fn take_due(&mut self, ctx: &impl StateroomContext) -> Option<K> {
        let now = ctx.now_ms();
        let taken = match self.next() {
            Some((index, due)) if due <= now => Some(self.list.remove(index).key),
            _ => None,
        };
        if !self.list.is_empty() {
            // The room's timer has fired, even if the clock was set back and says that it was not due.
            self.armed = None;
        }
        self.arm(now, ctx);
        taken
    }

    /// Returns the index of the timer that is due next, and when it is due.
    fn next(&self) -> Option<(usize, u64)> {
        let dues = self.list.iter().map(|timer| timer.due).enumerate();
        dues.min_by_key(|(_, due)| *due)
    }

    /// Sets the room's timer so that it fires no later than the first one here is due.
    fn arm(&mut self, now: u64, ctx: &impl StateroomContext) {
        let Some((_, due)) = self.next() else {
            if self.armed.take().is_some_and(|armed| armed > now) {
                ctx.set_timer(0);
            }
            return;
        };
        if self.armed.is_some_and(|armed| armed <= due) {
            return;
        }
        // 0 would cancel the timer. A delay that is too long for it is divided into several.
        let delay = u32::try_from(due.saturating_sub(now)).unwrap_or(u32::MAX).max(1);
        ctx.set_timer(delay);
        self.armed = Some(now.saturating_add(delay.into()));
    }
}

impl<K: Eq, const N: usize> Timers<K, N> {
    /// Sets a timer that is due in `ms` milliseconds. It replaces a timer with the same key.
    /// 0 is due as soon as this event is over.
    ///
    /// # Errors
    /// There are `N` timers already. The error contains the key.
    pub fn set(&mut self, key: K, ms: u64, ctx: &impl StateroomContext) -> Result<(), K> {
        self.forget(&key);
        let now = ctx.now_ms();
        let timer = Timer { key, due: now.saturating_add(ms) };
        self.list.push(timer).map_err(|timer| timer.key)?;
        self.arm(now, ctx);
        Ok(())
    }

    /// Cancels a timer. Returns true if it was set.
    pub fn cancel(&mut self, key: &K, ctx: &impl StateroomContext) -> bool {
        let was_set = self.forget(key);
        self.arm(ctx.now_ms(), ctx);
        was_set
    }

    fn forget(&mut self, key: &K) -> bool {
        let index = self.list.iter().position(|timer| timer.key == *key);
        index.map(|index| self.list.remove(index)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use std::vec::Vec;

    use super::*;
    use crate::{MessageRecipient, ToPayload};

    /// A room's clock and timer.
    #[derive(Default)]
    struct Host {
        now: Cell<u64>,
        due: Cell<Option<u64>>,
        /// The number of times that the timer was set or cancelled.
        calls: Cell<u32>,
    }

    impl StateroomContext for Host {
        fn send_message(&self, _: impl Into<MessageRecipient>, _: impl ToPayload) {}

        fn set_timer(&self, ms_delay: u32) {
            self.calls.set(self.calls.get() + 1);
            self.due.set((ms_delay > 0).then(|| self.now.get() + u64::from(ms_delay)));
        }

        fn now_ms(&self) -> u64 {
            self.now.get()
        }
    }

    impl Host {
        /// Lets time pass until `now`. What is due on the way, and when it was.
        fn advance<const N: usize>(&self, timers: &mut Timers<char, N>, now: u64) -> Vec<(char, u64)> {
            let mut taken = Vec::new();
            while let Some(due) = self.due.get().filter(|due| *due <= now) {
                self.due.set(None);
                self.now.set(due);
                while let Some(key) = timers.take_due(self) {
                    taken.push((key, due));
                }
            }
            self.now.set(now);
            taken
        }
    }

    #[test]
    fn each_is_due_at_its_time_once() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        for (key, ms) in [('c', 300), ('a', 100), ('b', 200)] {
            timers.set(key, ms, &host).unwrap();
        }
        assert_eq!(host.advance(&mut timers, 99), []);
        assert_eq!(host.advance(&mut timers, 250), [('a', 100), ('b', 200)]);
        assert_eq!(host.advance(&mut timers, 1000), [('c', 300)]);
        assert_eq!(host.due.get(), None);
    }

    #[test]
    fn those_due_together_come_in_the_order_in_which_they_were_set() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        for key in ['b', 'a', 'c', 'b'] {
            timers.set(key, 5, &host).unwrap();
        }
        assert_eq!(host.advance(&mut timers, 5), [('a', 5), ('c', 5), ('b', 5)]);
    }

    #[test]
    fn one_that_is_set_again_is_due_at_the_new_time_only() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        timers.set('a', 100, &host).unwrap();
        timers.set('a', 300, &host).unwrap();
        assert_eq!(host.advance(&mut timers, 200), []);
        timers.set('a', 10, &host).unwrap();
        assert_eq!(host.advance(&mut timers, 1000), [('a', 210)]);
    }

    #[test]
    fn one_that_is_cancelled_is_not_due() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        timers.set('a', 100, &host).unwrap();
        timers.set('b', 200, &host).unwrap();
        assert!(timers.cancel(&'a', &host));
        assert!(!timers.cancel(&'a', &host));
        assert_eq!(host.advance(&mut timers, 150), []);
        assert!(timers.cancel(&'b', &host));
        // Without any, the room has none either.
        assert_eq!(host.due.get(), None);
        timers.set('b', 1, &host).unwrap();
        assert_eq!(host.advance(&mut timers, 1000), [('b', 151)]);
    }

    #[test]
    fn one_too_many_comes_back_and_the_others_stay() {
        let (mut timers, host) = (Timers::<_, 2>::new(), Host::default());
        timers.set('a', 100, &host).unwrap();
        timers.set('b', 200, &host).unwrap();
        assert_eq!(timers.set('c', 1, &host), Err('c'));
        // One that is there can be set all the same.
        assert_eq!(timers.set('a', 50, &host), Ok(()));
        assert_eq!(host.advance(&mut timers, 1000), [('a', 50), ('b', 200)]);
    }

    #[test]
    fn zero_is_due_as_soon_as_possible() {
        let (mut timers, host) = (Timers::<_, 2>::new(), Host::default());
        timers.set('a', 0, &host).unwrap();
        assert_eq!(host.advance(&mut timers, 1), [('a', 1)]);
    }

    #[test]
    fn what_the_rooms_timer_cannot_tell_comes_in_pieces() {
        let (mut timers, host) = (Timers::<_, 2>::new(), Host::default());
        let year = 365 * 24 * 60 * 60 * 1000;
        timers.set('a', year, &host).unwrap();
        assert_eq!(host.due.get(), Some(u32::MAX.into()));
        assert_eq!(host.advance(&mut timers, year - 1), []);
        assert_eq!(host.advance(&mut timers, year), [('a', year)]);
        // And what no clock can tell, never.
        timers.set('b', u64::MAX, &host).unwrap();
        assert_eq!(host.advance(&mut timers, 100 * year), []);
        assert!(timers.cancel(&'b', &host));
    }

    #[test]
    fn to_put_one_off_again_and_again_costs_the_host_nothing() {
        let (mut timers, host) = (Timers::<_, 2>::new(), Host::default());
        for now in 0..1000 {
            assert_eq!(host.advance(&mut timers, now), []);
            timers.set('a', 5000, &host).unwrap();
        }
        assert_eq!(host.calls.get(), 1);
        assert_eq!(host.advance(&mut timers, 10_000), [('a', 5999)]);
        assert_eq!(host.calls.get(), 2);
    }

    #[test]
    fn whatever_is_done_each_is_due_as_if_it_were_alone() {
        let (mut timers, host) = (Timers::<char, 5>::new(), Host::default());
        // When each is due, in the order in which they were set.
        let mut model = Vec::<(char, u64)>::new();
        let mut state = 1_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        for _ in 0..20_000 {
            let key = char::from(b'a' + u8::try_from(random(6)).unwrap());
            let now = host.now.get();
            match random(4) {
                0 => {
                    let was_set = model.iter().any(|(other, _)| *other == key);
                    assert_eq!(timers.cancel(&key, &host), was_set);
                    model.retain(|(other, _)| *other != key);
                }
                1 | 2 => {
                    let ms = 1 + u64::from(random(50));
                    model.retain(|(other, _)| *other != key);
                    let expected = if model.len() < 5 { Ok(()) } else { Err(key) };
                    assert_eq!(timers.set(key, ms, &host), expected);
                    if expected.is_ok() {
                        model.push((key, now + ms));
                    }
                }
                _ => {
                    let end = now + u64::from(random(30));
                    let mut expected: Vec<_> = model.iter().copied().filter(|(_, due)| *due <= end).collect();
                    expected.sort_by_key(|(_, due)| *due);
                    model.retain(|(_, due)| *due > end);
                    assert_eq!(host.advance(&mut timers, end), expected);
                }
            }
            assert_eq!(host.due.get().is_some(), !model.is_empty());
        }
    }

    #[test]
    fn who_takes_only_one_gets_the_next_a_little_later() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        timers.set('a', 5, &host).unwrap();
        timers.set('b', 5, &host).unwrap();
        host.now.set(5);
        assert_eq!(timers.take_due(&host), Some('a'));
        assert_eq!(host.due.get(), Some(6));
        assert_eq!(host.advance(&mut timers, 10), [('b', 6)]);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_them_late_and_not_lost() {
        let (mut timers, host) = (Timers::<_, 4>::new(), Host::default());
        host.now.set(1_000_000);
        timers.set('a', 100, &host).unwrap();
        // The room's timer fires; the clock says otherwise.
        host.now.set(0);
        assert_eq!(timers.take_due(&host), None);
        assert_eq!(host.advance(&mut timers, 2_000_000), [('a', 1_000_100)]);
    }
}

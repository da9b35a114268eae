/// A limit on how often something may happen: `BURST` times at once, and then once in `EVERY_MS`
/// milliseconds.
///
/// A bucket begins with `BURST` tokens. Each use takes one token. Every `EVERY_MS` milliseconds one token is
/// added, up to `BURST`. A bucket takes eight bytes, so each client can have one:
///
/// ```
/// use stateroom_sdk_core::*;
///
/// #[stateroom_wasm]
/// #[derive(Default)]
/// struct Shouts {
///     // Three at once, and then one in ten seconds.
///     clients: heapless::LinearMap<ClientId, TokenBucket<3, 10_000>, 32>,
/// }
///
/// impl StateroomService for Shouts {
///     fn connect(&mut self, client: ClientId, _: &impl StateroomContext) {
///         // A client that does not fit into the map can only listen.
///         let _ = self.clients.insert(client, TokenBucket::default());
///     }
///
///     fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
///         let Some(bucket) = self.clients.get_mut(&client) else { return };
///         match bucket.take(ctx.now_ms()) {
///             Ok(()) => ctx.send_message(MessageRecipient::Broadcast, message),
///             Err(wait_ms) => ctx.send_message(client, format_args!("wait {wait_ms} ms")),
///         }
///     }
///
///     fn disconnect(&mut self, client: ClientId, _: &impl StateroomContext) {
///         self.clients.remove(&client);
///     }
/// }
/// # #[cfg(feature = "testing")] {
/// # use stateroom_sdk_core::testing::*;
/// # let room = TestRoom::new::<Shouts>();
/// # let client = room.connect();
/// # for text in ["a", "b", "c", "d"] { client.send(text) }
/// # assert_eq!(client.received(), ["a", "b", "c", "wait 10000 ms"]);
/// # room.advance(Duration::from_secs(10));
/// # client.send("e");
/// # assert_eq!(client.received(), ["e"]);
/// # }
/// ```
///
/// If the clock is set back, a bucket may be empty, but not for longer than it takes to fill it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenBucket<const BURST: u32, const EVERY_MS: u32> {
    /// The time at which the bucket is full again, or was.
    full_at: u64,
}

impl<const BURST: u32, const EVERY_MS: u32> TokenBucket<BURST, EVERY_MS> {
    /// The time that it takes to fill an empty bucket.
    const FILLING_MS: u64 = {
        assert!(BURST > 0, "a bucket needs space for at least one token");
        BURST as u64 * EVERY_MS as u64
    };

    /// Creates a full bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self { full_at: 0 }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is no token. The error is the time until there is one, in milliseconds.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        let empty = now_ms.saturating_add(Self::FILLING_MS);
        // A bucket that was full earlier is full now. It cannot be more than empty, unless the clock was set
        // back.
        self.full_at = self.full_at.clamp(now_ms, empty);
        let full_at = self.full_at.saturating_add(EVERY_MS.into());
        if full_at > empty {
            return Err(full_at - empty);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Bucket = TokenBucket<3, 1000>;

    /// Returns how many tokens can be taken at once.
    fn tokens(bucket: &mut Bucket, now_ms: u64) -> usize {
        core::iter::repeat_with(|| bucket.take(now_ms)).take_while(Result::is_ok).count()
    }

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let mut bucket = Bucket::new();
        assert_eq!(tokens(&mut bucket, 5000), 3);
        assert_eq!(bucket.take(5000), Err(1000));
        assert_eq!(bucket.take(5999), Err(1));
        assert_eq!(tokens(&mut bucket, 6000), 1);
        assert_eq!(bucket.take(6400), Err(600));
        assert_eq!(tokens(&mut bucket, 8500), 2);
        // The half token is not lost.
        assert_eq!(tokens(&mut bucket, 9000), 1);
    }

    #[test]
    fn a_bucket_fills_up_and_not_further() {
        let mut bucket = Bucket::new();
        assert_eq!(tokens(&mut bucket, 0), 3);
        assert_eq!(tokens(&mut bucket, 2999), 2);
        assert_eq!(tokens(&mut bucket, 1_000_000), 3);
    }

    #[test]
    fn to_be_refused_costs_nothing() {
        let mut bucket = Bucket::new();
        assert_eq!(tokens(&mut bucket, 0), 3);
        for _ in 0..100 {
            assert_eq!(bucket.take(500), Err(500));
        }
        assert_eq!(tokens(&mut bucket, 1000), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_it_empty_at_worst() {
        let mut bucket = Bucket::new();
        assert_eq!(tokens(&mut bucket, 1_000_000_000), 3);
        assert_eq!(bucket.take(5000), Err(1000));
        assert_eq!(tokens(&mut bucket, 6000), 1);
    }

    #[test]
    fn numbers_do_not_overflow() {
        let mut bucket = TokenBucket::<{ u32::MAX }, { u32::MAX }>::new();
        assert_eq!(bucket.take(0), Ok(()));
        assert_eq!(bucket.take(u64::MAX), Ok(()));
        let mut bucket = TokenBucket::<1, { u32::MAX }>::new();
        assert_eq!((bucket.take(7), bucket.take(7)), (Ok(()), Err(u32::MAX.into())));
        // Whatever is not limited is always there.
        let mut bucket = TokenBucket::<1, 0>::new();
        assert!((0..100).all(|_| bucket.take(7).is_ok()));
    }
}

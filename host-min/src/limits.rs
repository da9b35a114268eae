/// What a module and its rooms may use. Each limit protects the host and the other rooms from one that goes
/// wrong or means harm.
///
/// ```
/// use stateroom_host_min::Limits;
///
/// let mut limits = Limits::default();
/// limits.memory = 1 << 20;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest module, in bytes. Default: 16 MiB. Guests are a few KB; some carry 2 MB of debug
    /// sections.
    ///
    /// It bounds the time and memory that loading takes.
    pub module_size: usize,

    /// The largest linear memory of a room, in bytes. Default: 32 MiB. Growing beyond it fails in the guest
    /// as running out of memory does.
    pub memory: usize,

    /// The largest number of elements in a table. Default: 10,000; a table holds a guest's function
    /// pointers. Tables keep the size that they are made with.
    pub table_elements: usize,

    /// How deep calls may nest. Default: 1,000. Deeper recursion traps. More than 100,000
    /// counts as that.
    pub call_depth: usize,

    /// The largest message to a guest, in bytes. Default: 1 MiB. It is also the largest line for the log, and the
    /// most random bytes at a time. What a guest sends has no limit of its own below [`effect_bytes`](Self::effect_bytes):
    /// an answer is often a message and something more.
    pub message_size: usize,

    /// How many effects one event may have. Default: 10,000.
    pub effects: usize,

    /// How many bytes the messages, close reasons and log lines of one event may have together. Default: 4 MiB,
    /// half of what the server lets wait for a client.
    ///
    /// It bounds what a room can make the host hold before anything is sent.
    pub effect_bytes: usize,

    /// How much a guest may compute while its module is loaded, in units of fuel. Default: 50 million, some
    /// 50 ms. Its `start` function and its `_initialize` are tried then, which bounds how long loading
    /// takes. In a room they are a part of the first event.
    ///
    /// One unit is about one instruction. An optimised build runs 1,000 to 2,500 million a second on a
    /// machine of 2026, and a tenth of that on a small one.
    pub startup_fuel: u64,

    /// How much a guest may compute in one event, in units of fuel. Default: 6,000 million, some
    /// seconds. More is a trap.
    pub fuel: u64,

    /// How much a guest computes at a stretch before the host can have others go on, in units of fuel.
    /// Default: 20,000, some 0.02 ms.
    ///
    /// Suspending a guest costs as much as some 500 units. More than 10 million counts as that.
    pub slice: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            module_size: 16 << 20,
            memory: 32 << 20,
            table_elements: 10_000,
            call_depth: 1_000,
            message_size: 1 << 20,
            effects: 10_000,
            effect_bytes: 4 << 20,
            startup_fuel: 50_000_000,
            fuel: 6_000_000_000,
            slice: 20_000,
        }
    }
}

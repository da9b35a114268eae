use stateroom_host_min::{Limits, Program};

/// A guest in WebAssembly's text format, for what no SDK would let through.
///
/// As it stands it sends text back to its sender, and counts: `?` is answered with the last digit of how many
/// texts there were before. A test replaces what it is about. In all instructions `$send_message`,
/// `$send_binary`, `$set_timer`, `$nothing` and `$recurse`, which never returns, can be called; bytes 0 to 15 of the
/// memory are `hello` and zeros, and bytes from 64 to 1023 are the test's own.
#[derive(Debug)]
pub struct Module {
    memory: &'static str,
    data: &'static str,
    malloc: &'static str,
    free: &'static str,
    initialize: &'static str,
    connect: &'static str,
    disconnect: &'static str,
    timer: &'static str,
    told: &'static str,
    binary: &'static str,
    limits: Limits,
}

impl Default for Module {
    fn default() -> Self {
        Self::new()
    }
}

impl Module {
    /// Returns the guest as it stands.
    #[must_use]
    pub fn new() -> Self {
        Self {
            memory: "2",
            data: "",
            malloc: "(i32.const 4096)",
            free: "",
            initialize: "",
            connect: "",
            disconnect: "",
            timer: "",
            told: "",
            binary: "(call $send_binary (local.get $client) (local.get $at) (local.get $len))",
            limits: Limits::default(),
        }
    }

    /// Sets the pages of its memory: how many at first, and perhaps how many at most.
    #[must_use]
    pub fn memory(self, memory: &'static str) -> Self {
        Self { memory, ..self }
    }

    /// Sets what lies in its memory from address 64 on, as a string of the text format has it.
    #[must_use]
    pub fn data(self, data: &'static str) -> Self {
        Self { data, ..self }
    }

    /// Sets what `jam_malloc` does with `$size`; it leaves an address.
    #[must_use]
    pub fn malloc(self, malloc: &'static str) -> Self {
        Self { malloc, ..self }
    }

    /// Sets what `jam_free` does.
    #[must_use]
    pub fn free(self, free: &'static str) -> Self {
        Self { free, ..self }
    }

    /// Sets what `initialize` does with the room's id, `$len` bytes at `$at`.
    #[must_use]
    pub fn initialize(self, initialize: &'static str) -> Self {
        Self { initialize, ..self }
    }

    /// Sets what `connect` does with `$client`.
    #[must_use]
    pub fn connect(self, connect: &'static str) -> Self {
        Self { connect, ..self }
    }

    /// Sets what `disconnect` does with `$client`.
    #[must_use]
    pub fn disconnect(self, disconnect: &'static str) -> Self {
        Self { disconnect, ..self }
    }

    /// Sets what `timer` does.
    #[must_use]
    pub fn timer(self, timer: &'static str) -> Self {
        Self { timer, ..self }
    }

    /// Sets what a text that begins with `!` makes it do before it sends it back: `$client` has sent `$len` bytes
    /// at `$at`.
    #[must_use]
    pub fn told(self, told: &'static str) -> Self {
        Self { told, ..self }
    }

    /// Sets what it does with a binary message of `$client`: `$len` bytes at `$at`. There is a local variable `$i`.
    #[must_use]
    pub fn binary(self, binary: &'static str) -> Self {
        Self { binary, ..self }
    }

    /// Changes what it may use.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Translates and loads it.
    #[track_caller]
    #[must_use]
    pub fn program(self) -> Program {
        let (module, limits) = self.module();
        Program::load(&module, limits).expect("a guest")
    }

    /// Does the same, and keeps the module, as servers that keep rooms on disk need it.
    #[track_caller]
    #[must_use]
    pub fn kept_program(self) -> Program {
        let (module, limits) = self.module();
        Program::load_and_keep(module.into(), limits).expect("a guest")
    }

    #[track_caller]
    fn module(self) -> (Vec<u8>, Limits) {
        let text = self.text();
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        (module, self.limits)
    }

    /// Returns its text, for a file that the command serves.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { memory, data, malloc, free, initialize, connect, disconnect, timer, told, binary, .. } =
            self;
        format!(
            r#"(module
                (import "env" "send_message" (func $send_message (param i32 i32 i32)))
                (import "env" "send_binary" (func $send_binary (param i32 i32 i32)))
                (import "env" "set_timer" (func $set_timer (param i32)))
                (memory (export "memory") {memory})
                (data (i32.const 0) "hello")
                (data (i32.const 16) "0")
                (data (i32.const 64) "{data}")
                (func (export "jam_malloc") (param $size i32) (result i32) {malloc})
                (func (export "jam_free") (param $at i32) (param $size i32) {free})
                (func (export "initialize") (param $at i32) (param $len i32) (local $i i32) {initialize})
                (func (export "connect") (param $client i32) {connect})
                (func (export "disconnect") (param $client i32) {disconnect})
                (func (export "timer") (local $i i32) {timer})
                (func $nothing)
                (func $recurse (call $recurse))
                (func (export "binary") (param $client i32) (param $at i32) (param $len i32) (local $i i32) {binary})
                (func (export "message") (param $client i32) (param $at i32) (param $len i32) (local $i i32)
                    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 33)) (then {told}))
                    (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 63)) (then
                        (call $send_message (local.get $client) (i32.const 16) (i32.const 1))
                        return))
                    (i32.store8 (i32.const 16) (i32.add (i32.const 48) (i32.rem_u
                        (i32.sub (i32.load8_u (i32.const 16)) (i32.const 47)) (i32.const 10))))
                    (call $send_message (local.get $client) (local.get $at) (local.get $len))))"#
        )
    }
}

/// Returns a guest that saves its state, a digit or a letter at address 16, and sends it to everybody after each message. `told` are the
/// instructions before that, and `loaded` those of a new version that gets the state at `(local.get 0)`. In both, `$send` sends it.
///
/// # Panics
/// The instructions are not valid.
#[must_use]
pub fn saving(state: char, told: &str, loaded: &str) -> Program {
    let module = wat::parse_str(format!(
        r#"(module
            (import "env" "send_message" (func $send_message (param i32 i32 i32)))
            (import "stateroom" "save" (func $save (param i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 16) "{state}")
            (func $send (call $send_message (i32.const 0) (i32.const 16) (i32.const 1)))
            (func (export "jam_malloc") (param i32) (result i32) i32.const 4096)
            (func (export "jam_free") (param i32 i32))
            (func (export "initialize") (param i32 i32))
            (func (export "connect") (param i32)) (func (export "disconnect") (param i32))
            (func (export "timer"))
            (func (export "binary") (param i32 i32 i32))
            (func (export "message") (param i32 i32 i32) {told} (call $send))
            (func (export "stateroom_save") (call $save (i32.const 16) (i32.const 1)))
            (func (export "stateroom_load") (param i32 i32) {loaded}))"#
    ));
    Program::load_and_keep(module.expect("a module").into(), Limits::default()).expect("a guest")
}

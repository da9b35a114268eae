//! Guests to build and to serve.

pub(crate) const ECHO: &str = "#![no_std]
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, message);
    }
}
";

pub(crate) const HEAP: &str = "#![no_std]
extern crate alloc;
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Last(alloc::string::String);

impl StateroomService for Last {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        ctx.send_message(client, self.0.as_str());
        self.0 = message.text().unwrap_or_default().into();
    }
}
";

pub(crate) const STD: &str = "use std::collections::HashMap;
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Counts(HashMap<String, u32>);

impl StateroomService for Counts {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        let count = self.0.entry(message.text().unwrap_or_default().to_owned()).or_default();
        *count += 1;
        ctx.send_message(client, format!(\"{count}\"));
    }
}
";

/// Prints as it begins. The imports of what it prints with come before it.
pub(crate) const PRINTS: &str = "use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Printer;

impl StateroomService for Printer {
    fn init(&mut self, _: &impl StateroomContext) {
        println!(\"{} lines\\nin {:?}\", 2, \"one\");
        println!();
        print!(\"to be \");
        println!(\"continued\");
        eprint!(\"an \");
        eprintln!(\"error\");
        let (sum, _) = dbg!(1 + 1, 'x');
        println!(\"{sum}\");
    }
}
";

pub(crate) const QUIET: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "jam_malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "jam_free") (param i32 i32))
  (func (export "initialize") (param i32 i32))
  (func (export "connect") (param i32))
  (func (export "disconnect") (param i32))
  (func (export "timer"))
  (func (export "message") (param i32 i32 i32))
  (func (export "binary") (param i32 i32 i32)))
"#;

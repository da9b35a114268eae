use stateroom_sdk_core::*;

#[stateroom_wasm(save)]
#[derive(Default)]
struct Counter(u32);

impl StateroomService for Counter {}

impl SaveState for Counter {
    type Error = &'static str;

    fn save(&self, write: &mut impl FnMut(&[u8])) {
        write(&self.0.to_le_bytes());
    }

    fn load(&mut self, saved: &[u8], _: &impl StateroomContext) -> Result<(), &'static str> {
        self.0 = u32::from_le_bytes(saved.try_into().map_err(|_| "a number has four bytes")?);
        Ok(())
    }
}

fn main() {}

//! The program stands as it was printed, without a place for tests. So it is printed here once more.

include!("../src/lib.rs");

fn room() -> testing::TestRoom {
    testing::TestRoom::new::<EchoServer>()
}

#[path = "../src/tests.rs"]
mod tests;

use std::error::Error;

use stateroom_host_min::{LoadError, RestoreError, SnapshotError, Step, Trap};

#[test]
fn errors_are_small() {
    // What every event returns.
    assert_eq!(size_of::<Trap>(), size_of::<usize>());
    assert!(size_of::<Result<Step, Trap>>() <= 16);
    assert!(size_of::<SnapshotError>() <= 1);
    assert!(size_of::<RestoreError>() <= 24);
    assert!(size_of::<LoadError>() <= 32);
}

#[test]
fn errors_can_be_passed_on() {
    fn passes<T: Error + Send + Sync + Clone + Eq + 'static>() {}
    passes::<Trap>();
    passes::<LoadError>();
    passes::<SnapshotError>();
    passes::<RestoreError>();
}

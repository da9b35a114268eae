//! Tests of what fuzzing has found so far, without a fuzzer: `tests/fuzz/README.md` says how to continue with it.

use std::{fs, path::Path};

use stateroom_tests::fuzzing::TARGETS;

#[test]
fn what_has_been_found_is_taken_as_it_should_be() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join("corpus");
    for (name, target) in TARGETS {
        let files = fs::read_dir(corpus.join(name)).expect("there is something for each target");
        let mut count = 0;
        for file in files {
            let path = file.expect("the directory can be read").path();
            // Shown if it fails.
            println!("{}", path.display());
            target(&fs::read(&path).expect("it can be read"));
            count += 1;
        }
        assert!(count > 0, "{name}");
    }
}

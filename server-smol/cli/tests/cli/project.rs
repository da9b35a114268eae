//! The messages of `dev` and `build` about `stateroom.toml` and `Cargo.toml`.

use crate::{
    directory::Directory,
    guests::ECHO,
    running::{fails, stateroom},
};

#[test]
fn what_is_no_package_is_told() {
    let here = Directory::new().with("file", "").with("empty/.keep", "");
    for command in ["dev", "build"] {
        fails(stateroom(&here, &[command, "gone"]), &["no directory `gone`", "Cargo.toml"]);
        fails(stateroom(&here, &[command, "file"]), &["`file` is a file", "stateroom serve"]);
        fails(stateroom(&here, &[command, "empty"]), &["no `Cargo.toml` in `empty`", "`stateroom new NAME`"]);
    }
    fails(stateroom(&here, &["dev", "9000"]), &["`--port 9000`"]);
    let here = here.with("Cargo.toml", "[package]\nname = 5\n");
    fails(stateroom(&here, &["build"]), &["cargo failed: ", "name = 5"]);
}

#[test]
fn mistakes_in_stateroom_toml_are_told() {
    let told = |toml: &str, parts: &[&str]| {
        let here = Directory::new().with_guest("", ECHO).with("stateroom.toml", toml);
        for command in ["dev", "build"] {
            fails(stateroom(&here, &[command]), parts);
        }
        assert!(!here.path("dist").exists());
    };
    told("\n[service\n", &["stateroom.toml", "line 2"]);
    told(
        "\nstatic = 'web'",
        &["stateroom.toml:2: ", "unknown key `static`", "`static_files`", "`[service]`"],
    );
    told(
        "[service]\ncrate = 'web'",
        &["stateroom.toml:2: ", "`crate`", "`package`", "`target`", "`stack_size`"],
    );
    told(
        "[limits]\nslice = 0\nmemory = '1MB'",
        &[
            "toml:2: `slice` is a whole number from 1 to 10M",
            ", not `0`",
            "toml:3: `memory` is a number of bytes",
            "64KiB",
            ", not `'1MB'`",
        ],
    );
    told(
        "[limits]\nfuel = '1k'\nslice = '2k'",
        &["`slice` (./stateroom.toml:3) is 2k, more than `fuel` (./stateroom.toml:2), which is 1k", "raise"],
    );
    told("[service]\nstack_size = 100", &["a multiple of 16, such as 4096, not `100`"]);
    told("static_files = 'gone'", &["stateroom.toml:1: ", "gone`, which does not exist"]);
    told(
        "[service]\ntarget = 'wasm32-wasi'",
        &["stateroom.toml:2: ", "\"wasm32-unknown-unknown\" or \"wasm32-wasip1\"", "wasm32-wasi\""],
    );
    told(
        "service_id = 'x'\n[client]\npackage = 'web'",
        &["toml:1: `service_id` is not supported", "toml:2: `[client]` is not supported", "static_files"],
    );
    told("[service]\npackage = 'other'", &["stateroom.toml", "`other`", "it has `cli-"]);
}

#[test]
fn package_without_library_is_told() {
    let here = Directory::new()
        .with("Cargo.toml", "[package]\nname = \"tool\"\n[workspace]\n")
        .with("src/main.rs", "fn main() {}");
    fails(stateroom(&here, &["build"]), &["`tool` has no library", "src/lib.rs"]);
}

#[test]
fn workspace_without_package_needs_one_named() {
    let here = Directory::new()
        .with("Cargo.toml", "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n")
        .with("one/Cargo.toml", "[package]\nname = \"one\"\n")
        .with("one/src/lib.rs", "")
        .with("two/Cargo.toml", "[package]\nname = \"two\"\n")
        .with("two/src/lib.rs", "");
    fails(stateroom(&here, &["build"]), &["[service]", "package = ", "`one`, `two`"]);
    // It is found and built, and only then not a guest.
    let here = here.with("stateroom.toml", "service.package = 'two'");
    fails(stateroom(&here, &["build"]), &["cannot run `", "two.wasm`: "]);
}

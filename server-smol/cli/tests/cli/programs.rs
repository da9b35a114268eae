//! The programs that the command runs, and what it does where they are missing or fail.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    directory::Directory,
    guests::{ECHO, QUIET, STD},
    running::{Serving, fails, stateroom, succeeds},
};

/// `command` with a PATH of its own that has these scripts on it and nothing else.
pub(crate) fn with_programs(here: &Directory, mut command: Command, programs: &[(&str, String)]) -> Command {
    let bin = here.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, script) in programs {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    command.env("PATH", bin);
    command
}

/// Returns a compiler that looks for its targets in `libraries`.
fn rustc(libraries: &Path) -> (&'static str, String) {
    let real = Path::new(env!("CARGO")).with_file_name("rustc");
    let script = format!(
        "if [ \"$1\" = --print=target-libdir ]; then echo '{}'; else exec '{}' \"$@\"; fi",
        libraries.display(),
        real.display()
    );
    ("rustc", script)
}

#[test]
fn missing_target_is_added() {
    let here = Directory::new().with_guest("", ECHO);
    let libraries = here.path("libraries");
    let rustup = format!("echo \"$@\" >> said; /bin/mkdir '{}'", libraries.display());
    let build = stateroom(&here, &["build"]);
    let said = succeeds(with_programs(&here, build, &[rustc(&libraries), ("rustup", rustup)]));
    assert!(said.contains("rustup target add wasm32-unknown-unknown"), "{said}");
    assert_eq!(fs::read_to_string(here.path("said")).unwrap(), "target add wasm32-unknown-unknown\n");
}

#[test]
fn target_that_cannot_be_added_is_told() {
    let here = Directory::new().with_guest("", ECHO);
    let missing = rustc(&here.path("libraries"));
    let build = with_programs(&here, stateroom(&here, &["build"]), std::slice::from_ref(&missing));
    fails(build, &["rustup.rs", "run `rustup target add wasm32-unknown-unknown`"]);

    let here = here.with("stateroom.toml", "service.target = 'wasm32-wasip1'");
    let rustup = ("rustup", "exit 1".to_owned());
    let build = with_programs(&here, stateroom(&here, &["build"]), &[missing, rustup]);
    fails(build, &["could not add it", "run `rustup target add wasm32-wasip1`"]);
}

#[test]
fn missing_cargo_is_told() {
    let here = Directory::new().with_guest("", ECHO);
    let mut build = with_programs(&here, stateroom(&here, &["build"]), &[]);
    build.env_remove("CARGO");
    fails(build, &["cannot find `cargo`", "https://rustup.rs"]);
}

#[test]
fn a_wait_for_another_program_is_reported() {
    let here = Directory::new().with_guest("", ECHO);
    // The compiler waits when it is asked where its targets are, and when it compiles the guest; the optimiser always. They wait
    // until a file is there, or the test has failed and its directory is gone.
    let waits = |file: &str| {
        let (directory, file) = (here.0.display(), here.path(file));
        format!("while [ -d '{directory}' ] && [ ! -e '{}' ]; do /bin/sleep 0.02; done", file.display())
    };
    let real = Path::new(env!("CARGO")).with_file_name("rustc");
    let rustc = format!(
        "case \"$*\" in --print=target-libdir*) {};; *'src/lib.rs'*) {};; esac; exec '{}' \"$@\"",
        waits("installed"),
        waits("compiled"),
        real.display(),
    );
    let optimizer = format!("{}; exit 1", waits("optimized"));
    let path = env::var("PATH").unwrap();
    let build = stateroom(&here, &["build"]);
    let mut build = with_programs(&here, build, &[("rustc", rustc), ("wasm-opt", optimizer)]);
    build.env("PATH", format!("{}:{path}", here.path("bin").display()));
    let mut build = Serving::launch(build);
    for (line, file) in [
        ("INFO  waiting for `rustc`, which may be downloading a toolchain", "installed"),
        (&*format!("INFO  building `{}`: ", here.name()), "compiled"),
        ("INFO  waiting for `wasm-opt`, which makes the module smaller (3 s)", "optimized"),
    ] {
        build.wait_for_line(line);
        fs::write(here.path(file), "").unwrap();
    }
    build.wait_for_line("built ");
}

#[test]
fn optimizer_is_used_where_it_helps_and_never_needed() {
    let here = Directory::new().with_guest("", ECHO);
    let build = |script: &str| {
        let path = env::var("PATH").unwrap();
        let mut build = stateroom(&here, &["build"]);
        build = with_programs(&here, build, &[("wasm-opt", script.to_owned())]);
        build.env("PATH", format!("{}:{path}", here.path("bin").display()));
        let said = succeeds(build);
        (said, fs::read(here.path("dist/server.wasm")).unwrap())
    };
    let find = "for argument; do case $argument in */in.wasm) in=$argument;; */out.wasm) out=$argument;; esac; done;";
    let (said, plain) = build("echo no such option >&2; exit 1");
    assert!(said.contains("WARN  the module stays") && said.contains("no such option"), "{said}");
    let (said, kept) = build(&format!("{find} echo nonsense > $out"));
    assert!(said.contains("WARN  the module stays") && kept == plain, "{said}");
    let (said, kept) = build(&format!("{find} cat $in > $out"));
    assert!(!said.contains("WARN") && kept == plain, "{said}");
}

#[test]
fn optimizer_hears_of_page_sizes_only_where_a_module_has_its_own() {
    let script = r#"echo "$@" > "$0.said"; case "$*" in *custom-page-sizes*) echo "Unknown option '--enable-custom-page-sizes'" >&2; exit 1;; esac; exit 1"#;
    let build = |features: &str, source: &str, arguments: &[&str]| {
        let here = Directory::new().with_guest(features, source);
        let build = stateroom(&here, &[&["build"], arguments].concat());
        let mut build = with_programs(&here, build, &[("wasm-opt", script.to_owned())]);
        build.env("PATH", format!("{}:{}", here.path("bin").display(), env::var("PATH").unwrap()));
        let said = succeeds(build);
        (said, fs::read_to_string(here.path("bin/wasm-opt.said")).unwrap())
    };
    let (said, options) = build("", ECHO, &[]);
    assert!(options.contains("--enable-custom-page-sizes"), "{options}");
    assert!(
        said.contains("this `wasm-opt` is too old") && said.contains("install a newer Binaryen"),
        "{said}"
    );
    for (features, source, arguments) in [("", ECHO, &["--portable"][..]), ("'std'", STD, &[])] {
        let (_, options) = build(features, source, arguments);
        assert!(!options.contains("page-sizes"), "{options}");
    }
}

#[test]
fn server_ends_well_when_told_to() {
    let here = Directory::new().with("quiet.wat", QUIET);
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Serving::start(stateroom(&here, &["serve", "quiet.wat", "--port", "0"]));
        assert_eq!(server.end(signal), Some(0), "{signal:?}");
    }
}

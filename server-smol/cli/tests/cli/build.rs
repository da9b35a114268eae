//! `stateroom build`

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    directory::Directory,
    guests::{ECHO, HEAP, STD},
    running::{Serving, fails, run, stateroom, succeeds},
};

#[test]
fn memory_fits_what_the_guest_needs() {
    let build = |features: &str, source: &str, toml: &str, arguments: &[&str]| {
        let here = Directory::new().with_guest(features, source).with("stateroom.toml", toml);
        let said = succeeds(stateroom(&here, &[&["build"], arguments].concat()));
        let module = here.path("dist/server.wasm");
        let length = fs::metadata(&module).unwrap().len();
        assert!(said.contains("dist/server.wasm: ") && said.contains(&format!("{length} bytes")), "{said}");
        // Whatever is built can be served.
        Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));
        memory(&module)
    };
    let small = 3072..4096;
    let (size, page) = build("", ECHO, "", &[]);
    assert!(page == 1 && small.contains(&size), "{size} bytes in pages of {page}");
    assert_eq!(build("", ECHO, "", &["--portable"]), (65536, 65536));
    let (deep, page) = build("", ECHO, "service.stack_size = 16384", &[]);
    assert!(page == 1 && deep == size + 16384 - 3072, "{deep} bytes in pages of {page}");

    let (size, page) = build("'alloc'", HEAP, "", &[]);
    assert!(page == 1 && (8192..12288).contains(&size), "{size} bytes in pages of {page}");
    assert_eq!(build("'alloc'", HEAP, "", &["--portable"]), (65536, 65536));

    // The standard library's allocator does not know of other pages.
    assert_eq!(build("'std'", STD, "", &[]), (65536, 65536));
    assert_eq!(build("'alloc', 'std'", STD, "", &[]), (65536, 65536));
    assert_eq!(build("'std'", STD, "service.target = 'wasm32-wasip1'", &[]).1, 65536);
}

#[test]
fn a_release_profile_with_debug_assertions_does_not_put_panics_into_words() {
    let panics = ECHO.replace("client, message", "client, &message.data()[1..]");
    let here = Directory::new()
        .with_guest("", &panics)
        .with(".cargo/config.toml", "[profile.release]\ndebug-assertions = true");
    succeeds(stateroom(&here, &["build"]));
    let module = fs::read(here.path("dist/server.wasm")).unwrap();
    // The name of the module from which the words' way out is imported.
    assert!(!module.windows(9).any(|bytes| bytes == b"stateroom"), "{} bytes", module.len());
}

#[test]
fn json_as_deep_as_its_parser_goes_fits_on_the_stack_of_a_guest_with_the_standard_library() {
    let source = "use serde_json::Value;
use stateroom_sdk_core::*;

#[stateroom_wasm]
#[derive(Default)]
struct Last(Value);

impl StateroomService for Last {
    fn message(&mut self, client: ClientId, message: MessagePayload<'_>, ctx: &impl StateroomContext) {
        if let Ok(value) = serde_json::from_slice(message.data()) {
            self.0 = value;
            ctx.send_message(client, self.0.to_string());
        }
    }
}
";
    let here = Directory::new().with_guest("'std'", source).with_dependency("serde_json = '1'");
    succeeds(stateroom(&here, &["build"]));
    let objects = format!("{}1{}", "{\"a\":".repeat(127), "}".repeat(127));
    let arrays = format!("{}1{}", "[".repeat(127), "]".repeat(127));
    let said =
        succeeds(stateroom(&here, &["inspect", "dist", "--check", "--say", &objects, "--say", &arrays]));
    assert!(!said.contains("problem"), "{said}");
}

#[test]
fn pages_that_an_allocator_does_not_know_of_are_refused() {
    let config = "[target.wasm32-unknown-unknown]\nrustflags = ['-Clink-arg=--page-size=1']";
    let here = Directory::new().with_guest("'std'", STD).with(".cargo/config.toml", config);
    fails(stateroom(&here, &["build"]), &["pages of another size than 64 KiB", "take `--page-size` out"]);
}

#[test]
fn dist_holds_the_module_and_a_copy_of_the_static_files() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "<p>one")
        .with("web/deep/er/x.js", "1");
    succeeds(stateroom(&here, &["build"]));
    assert_eq!(fs::read(here.path("dist/static/deep/er/x.js")).unwrap(), b"1");

    fs::remove_dir_all(here.path("web/deep")).unwrap();
    let here = here.with("web/index.html", "<p>two");
    succeeds(stateroom(&here, &["build"]));
    assert!(!here.path("dist/static/deep").exists());
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "dist", "src", "stateroom.toml", "web"]);

    let server = Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));
    assert!(server.get("/").contains("<p>two"));
}

#[test]
fn files_in_dist_have_the_times_of_their_sources() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/a.js", "1")
        .with("web/a.js.gz", "1");
    let time = SystemTime::now() - Duration::from_secs(100);
    for (name, time) in [("a.js", time), ("a.js.gz", time - Duration::from_secs(1))] {
        let file = fs::File::options().append(true).open(here.path("web").join(name)).unwrap();
        file.set_modified(time).unwrap();
    }
    succeeds(stateroom(&here, &["build"]));
    let modified = |path: &str| fs::metadata(here.path(path)).unwrap().modified().unwrap();
    for name in ["a.js", "a.js.gz"] {
        let [from, to] = ["web", "dist/static"].map(|directory| modified(&format!("{directory}/{name}")));
        assert_eq!(from, to, "{name}");
    }
}

#[test]
fn hidden_files_are_left_out_of_dist_and_links_that_lead_nowhere_with_them() {
    let here = Directory::new()
        .with_guest("", ECHO)
        .with("stateroom.toml", "static_files = 'web'")
        .with("web/index.html", "<p>one")
        .with("web/.env", "SECRET=1")
        .with("web/.git/HEAD", "ref")
        .with("web/a/.hidden/x", "")
        .with("web/.well-known/security.txt", "Contact: mailto:a@example.org");
    // An editor's lock.
    #[cfg(unix)]
    std::os::unix::fs::symlink("ada@machine.1234", here.path("web/.#index.html")).unwrap();
    succeeds(stateroom(&here, &["build"]));
    let names = |path: &str| {
        let entries = fs::read_dir(here.path(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    // `_` has the client library.
    assert_eq!(names("dist/static"), [".well-known", "_", "a", "index.html"]);
    assert_eq!(names("dist/static/a"), [""; 0]);

    let server = Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));
    assert!(server.get("/.well-known/security.txt").contains("Contact"));
}

#[test]
fn dist_brings_the_limits() {
    let here = Directory::new().with_guest("", ECHO).with(
        "stateroom.toml",
        "durability = 'lazy'\nsubprotocols = ['b', 'a']\n[limits]\nmemory = 65536\nfuel = '1_000k'\n",
    );
    succeeds(stateroom(&here, &["build"]));
    let toml = fs::read_to_string(here.path("dist/stateroom.toml")).unwrap();
    assert_eq!(
        toml,
        "durability = \"lazy\"\n\nsubprotocols = [\"b\", \"a\"]\n\n[limits]\nmemory = \"64KiB\"\nfuel = \"1M\"\n"
    );
    Serving::start(stateroom(&here, &["serve", "dist", "--port", "0"]));

    let here = here.with("stateroom.toml", "");
    succeeds(stateroom(&here, &["build"]));
    assert!(!here.path("dist/stateroom.toml").exists());

    // What the limits do not allow is told here and not there.
    let here = here.with("stateroom.toml", "[limits]\nmemory = '1KiB'");
    fails(stateroom(&here, &["build"]), &["cannot run `", "1024 are the limit (`memory`)"]);
}

#[test]
fn foreign_dist_is_left_alone() {
    let here = Directory::new().with_guest("", ECHO).with("dist/thesis.tex", "years of work");
    fails(stateroom(&here, &["build"]), &["dist` holds `thesis.tex`", "elsewhere"]);
    assert_eq!(fs::read(here.path("dist/thesis.tex")).unwrap(), b"years of work");

    let here = Directory::new().with_guest("", ECHO).with("dist", "a file");
    fails(stateroom(&here, &["build"]), &["dist` is not a directory"]);
}

#[test]
fn failed_build_leaves_the_old_dist() {
    let here = Directory::new()
        .with_guest("", "#![no_std]\nuse stateroom_sdk_core as _;\nfn oops(")
        .with("dist/server.wasm", "old");
    fails(stateroom(&here, &["build"]), &["` does not build; cargo says why above"]);
    assert_eq!(fs::read(here.path("dist/server.wasm")).unwrap(), b"old");
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "dist", "src"]);
}

#[test]
fn forgotten_no_std_is_explained() {
    let here = Directory::new().with_guest("", &ECHO.replace("#![no_std]", ""));
    fails(
        stateroom(&here, &["build"]),
        &["does not build", "src/lib.rs` with `#![no_std]`", "enable the feature"],
    );
}

#[test]
fn dependency_that_brings_the_standard_library_is_named() {
    let here =
        Directory::new().with_guest("", &ECHO.replace("use stateroom", "use serde as _;\nuse stateroom"));
    let here = here.with_dependency("serde = '1'");
    fails(
        stateroom(&here, &["build"]),
        &["does not build", "`serde` brings the standard library", "`default-features = false`"],
    );
}

#[test]
fn missing_allocator_is_explained() {
    let here = Directory::new().with_guest("", HEAP);
    fails(
        stateroom(&here, &["build"]),
        &["does not build", "hint: enable the feature `alloc` of stateroom-sdk-core"],
    );
}

#[test]
fn guest_with_random_numbers_of_a_system_is_told_what_makes_it_work_before_it_is_built() {
    let source = STD.replace("use stateroom", "use getrandom as _;\nuse stateroom");
    let here = Directory::new().with_guest("'std'", &source).with_dependency("getrandom = '0.4'");
    let (status, said) = run(stateroom(&here, &["build"]));
    assert_eq!(status, 1, "{said}");
    assert!(
        said.contains("cannot be a guest: `getrandom` takes random numbers") && !said.contains("Compiling"),
        "{said}"
    );
    assert!(
        said.contains("write `target = \"wasm32-wasip1\"` under `[service]` in `./stateroom.toml`"),
        "{said}"
    );
    let here = here.with("stateroom.toml", "[service]\ntarget = \"wasm32-wasip1\"\n");
    succeeds(stateroom(&here, &["build"]));

    // Who has a source of their own is believed.
    let config = "[target.wasm32-unknown-unknown]\nrustflags = ['--cfg', 'getrandom_backend=\"custom\"']";
    let here = here.with("stateroom.toml", "").with(".cargo/config.toml", config);
    let (_, said) = run(stateroom(&here, &["build"]));
    assert!(!said.contains("cannot be a guest"), "{said}");
}

#[test]
fn the_compiler_is_heard_as_from_cargo() {
    let here = Directory::new().with_guest("", &format!("{ECHO}fn unused() {{}}"));
    let said = succeeds(stateroom(&here, &["build"]));
    assert!(said.contains("warning: function `unused` is never used\n") && !said.contains("hint"), "{said}");
    assert_eq!(said.matches("is never used").count(), 1, "{said}");
    let here = Directory::new().with_guest("", &format!("{ECHO}fn oops("));
    let (_, said) = run(stateroom(&here, &["build"]));
    assert!(
        said.contains("error: this file contains an unclosed delimiter") && !said.contains("hint"),
        "{said}"
    );
}

#[test]
fn wasi_without_the_standard_library_is_refused() {
    let toml = "service.target = 'wasm32-wasip1'";
    let here = Directory::new().with_guest("'alloc'", HEAP).with("stateroom.toml", toml);
    fails(stateroom(&here, &["build"]), &["wasm32-wasip1 needs the feature `std`", "stateroom.toml"]);
}

#[test]
fn library_that_is_no_guest_is_told_at_build_time() {
    let here = Directory::new().with_guest("", "#![no_std]\nuse stateroom_sdk_core as _;");
    fails(
        stateroom(&here, &["build"]),
        &["cannot run `", ".wasm`: this module is not a Stateroom guest", "hint: put `#[stateroom_wasm]`"],
    );
    assert_eq!(here.entries(), ["Cargo.lock", "Cargo.toml", "src"]);
}

/// Returns the memory that a module declares: its size at the start and the size of its pages, both in bytes.
fn memory(module: &Path) -> (u64, u64) {
    fn number(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    }
    const MEMORIES: u64 = 5;

    let bytes = fs::read(module).unwrap();
    let mut rest = bytes.strip_prefix(b"\0asm\x01\0\0\0").expect("a module");
    while !rest.is_empty() {
        let (section, length) = (number(&mut rest), number(&mut rest));
        let (mut content, after) = rest.split_at(length as usize);
        rest = after;
        if section == MEMORIES {
            assert_eq!(number(&mut content), 1);
            let flags = number(&mut content);
            let pages = number(&mut content);
            if flags & 1 != 0 {
                number(&mut content);
            }
            let page = if flags & 8 != 0 { 1 << number(&mut content) } else { 65536 };
            return (pages * page, page);
        }
    }
    panic!("no memory");
}

//! The compiler's messages for each likely mistake, most of them from `#[stateroom_wasm]`: one error, at the mistake,
//! that says what to do about it. A guest is compiled for this machine (by its tests) and for WebAssembly, where more
//! can go wrong, so all this holds for both.
//!
//! `diagnostics` has a mistake in each file, and beside it what the compiler says; `rooms` has what is none.
//! After a change of the words, `TRYBUILD=overwrite cargo test -p stateroom-sdk-core --test diagnostics` writes
//! them anew.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const WASM: &str = "wasm32-unknown-unknown";

#[test]
fn a_mistake_gives_one_error_on_this_machine() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/diagnostics/*.rs");
    cases.pass("tests/rooms/*.rs");
}

#[test]
fn a_mistake_gives_the_same_error_on_webassembly() {
    let sources = |directory| sources(directory).into_iter().map(|path| (name(&path), path));
    let cases: BTreeMap<_, _> = sources("tests/diagnostics").chain(sources("tests/rooms")).collect();
    let mut manifest = manifest("webassembly", "stateroom-sdk-core = { path = \"SDK/sdk-core\" }");
    for (name, path) in &cases {
        manifest += &format!("[[bin]]\nname = '{name}'\npath = '{}'\n", path.display());
    }
    let project = project("webassembly", &manifest);
    let said = build(&project, Some(WASM));
    let others: Vec<_> = said.iter().filter(|(name, _)| !cases.contains_key(*name)).collect();
    assert!(others.is_empty(), "does `rustup target add {WASM}` help? {others:#?}");

    for (name, path) in &cases {
        let said = said.get(name).map(Vec::as_slice).unwrap_or_default();
        match fs::read_to_string(path.with_extension("stderr")) {
            Ok(native) => {
                assert_eq!(said.len(), 1, "{name}: {said:#?}");
                assert_eq!(head(&said[0]), head(&native), "{name}");
            }
            Err(_) => assert!(said.is_empty(), "{name}: {said:#?}"),
        }
    }
}

#[test]
fn a_forgotten_dependency_is_named() {
    let manifest = manifest("forgotten", "stateroom-sdk-macro = { path = \"SDK/sdk-macro\" }");
    let project = project("forgotten", &manifest);
    let source = "#[stateroom_sdk_macro::stateroom_wasm]\npub struct Room;\n";
    write(&project.join("src/lib.rs"), source);
    for target in [None, Some(WASM)] {
        let said = build(&project, target).remove("forgotten").unwrap_or_default();
        assert_eq!(said.len(), 1, "{said:#?}");
        let (words, place) = head(&said[0]);
        assert!(words.starts_with("error: add `stateroom-sdk-core` to `[dependencies]` in "), "{words}");
        assert_eq!(place, "lib.rs:1:1");
    }
}

#[test]
fn a_value_that_is_no_message_is_told_what_it_lacks() {
    let cases = [
        (
            "number",
            "self.0",
            "a message is text or bytes, and `u32` is neither",
            "for a number, write `text!",
        ),
        (
            "json",
            "Json(State)",
            "the trait bound `State: serde::Serialize` is not satisfied",
            "#[derive(serde::Serialize)]",
        ),
        (
            "postcard",
            "Postcard(State)",
            "the trait bound `State: serde::Serialize` is not satisfied",
            "#[derive(serde::Serialize)]",
        ),
    ];
    let dependencies =
        "stateroom-sdk-core = { path = \"SDK/sdk-core\", features = [\"json\", \"postcard\"] }";
    let project = project("values", &manifest("values", dependencies));
    for (name, value, ..) in cases {
        let source = format!(
            "use stateroom_sdk_core::*;\n\
             pub struct State;\n\
             #[stateroom_wasm]\n\
             #[derive(Default)]\n\
             struct Room(u32);\n\
             impl StateroomService for Room {{\n\
             fn connect(&mut self, client: ClientId, ctx: &impl StateroomContext) {{\n\
             ctx.send_message(client, {value});\n\
             }}\n\
             }}\n\
             fn main() {{}}\n"
        );
        write(&project.join("src/bin").join(name).with_extension("rs"), &source);
    }
    for target in [None, Some(WASM)] {
        let said = build(&project, target);
        for (name, _, words, mend) in cases {
            let said = said.get(name).map(Vec::as_slice).unwrap_or_default();
            let [error] = said else { panic!("{name}: {said:#?}") };
            assert!(error.starts_with(&format!("error[E0277]: {words}\n")), "{error}");
            assert!(head(error).1.starts_with(&format!("{name}.rs:8:")), "{error}");
            assert!(error.contains(mend), "{error}");
        }
    }
}

/// Returns the words of an error as the compiler writes it for people, and the file with line and column, without the
/// way there.
fn head(text: &str) -> (&str, &str) {
    let mut lines = text.lines();
    let words = lines.next().unwrap_or_default();
    let place = lines.next().and_then(|line| line.split_once("--> ")).unwrap_or_default().1;
    (words, place.rsplit('/').next().unwrap_or_default())
}

/// Returns the Rust files of a directory.
fn sources(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = fs::read_dir(directory).expect("it is there").map(|file| file.expect("it is there").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn name(path: &Path) -> String {
    path.file_stem().expect("it is a file").display().to_string()
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the SDK is in the workspace")
}

/// Returns the manifest of a package that is no part of our workspace. `SDK` in its dependencies is this workspace.
fn manifest(name: &str, dependencies: &str) -> String {
    let dependencies = dependencies.replace("SDK", &workspace().display().to_string());
    format!("[workspace]\n[package]\nname = '{name}'\nedition = '2024'\n[dependencies]\n{dependencies}\n")
}

/// Makes a package below cargo's target directory.
fn project(name: &str, manifest: &str) -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("diagnostics").join(name);
    write(&project.join("Cargo.toml"), manifest);
    if let Ok(versions) = fs::read_to_string(workspace().join("Cargo.lock")) {
        write(&project.join("Cargo.lock"), &versions);
    }
    project
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().expect("it is below cargo's directory")).expect("it can be written");
    fs::write(path, content).expect("it can be written");
}

/// Builds a project and returns what the compiler says of each of its targets.
fn build(project: &Path, target: Option<&str>) -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--keep-going", "--message-format=json"])
        .args(target.map(|target| format!("--target={target}")))
        .current_dir(project)
        // What builds the cases of this machine has the same macros to build.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tests/trybuild"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs these tests");
    let lines = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let mut said = BTreeMap::<String, Vec<String>>::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).expect("cargo writes JSON");
        let Some(words) = line["message"]["rendered"].as_str() else { continue };
        let aside = ["error: aborting due to ", "For more information ", "Some errors have "];
        if line["reason"] == "compiler-message" && !aside.iter().any(|start| words.starts_with(start)) {
            let name = line["target"]["name"].as_str().expect("targets have names");
            said.entry(name.to_owned()).or_default().push(words.to_owned());
        }
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || !said.is_empty(), "cargo has built nothing: {complaint}");
    said
}

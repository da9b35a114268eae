//! `stateroom new`

use std::{fs, path::Path, process::Command};

use crate::{
    directory::Directory,
    running::{Serving, fails, refuses, run, stateroom, succeeds},
};

/// The templates, and whether they can do without the standard library.
const TEMPLATES: [(&str, bool); 5] =
    [("counter", true), ("chat", true), ("cursors", true), ("yjs", false), ("minimal", true)];

/// Gives a package the lock file of the workspace, which spares it a look at the registry.
fn lock(package: &Path) {
    let lock = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock")).unwrap_or_default();
    fs::write(package.join("Cargo.lock"), lock).unwrap();
}

/// Returns a command of cargo's in a package, with the environment that guests are built in.
fn cargo(here: &Directory, package: &str, arguments: &[&str]) -> Command {
    let like = stateroom(here, &[]);
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(here.path(package));
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn every_template_is_tested_and_built_and_served_at_once() {
    // Without the settings of this workspace's formatter.
    let here = Directory::new().with("rustfmt.toml", "");
    for (template, has_no_std) in TEMPLATES {
        for no_std in [false, true].into_iter().take(1 + usize::from(has_no_std)) {
            let name = format!("{template}-{no_std}-{}", here.name());
            let mut arguments = vec!["new", &name, "--template", template];
            arguments.extend(no_std.then_some("--no-std"));
            let said = succeeds(stateroom(&here, &arguments));
            assert!(said.contains(&format!("`{name}` has a new package")), "{said}");
            assert!(said.contains("are not published: keep that checkout"), "{said}");
            lock(&here.path(&name));

            let said = succeeds(cargo(&here, &name, &["test"]));
            assert!(said.contains("test result: ok.") && !said.contains("warning"), "{said}");
            // It looks as cargo's own formatter would make it.
            succeeds(cargo(&here, &name, &["fmt", "--check"]));
            let said = succeeds(stateroom(&here, &["build", &name]));
            assert!(!said.contains("warning"), "{said}");
            let dist = format!("{name}/dist");
            let server = Serving::start(stateroom(&here, &["serve", &dist, "--port", "0"]));
            let page = server.get("/");
            assert!(
                page.contains(&format!("<title>{name}</title>"))
                    && page.contains(if template == "yjs" { "editor.js" } else { "/_/client.js" }),
                "{page}"
            );
            drop(server);
            let text = fs::read_to_string(here.path(&format!("{name}/README.md"))).unwrap();
            assert!(text.starts_with(&format!("# {name}\n")) && text.contains("stateroom dev"), "{text}");
            let kept = fs::read_to_string(here.path(&format!("{name}/.gitignore"))).unwrap();
            assert!(kept.starts_with("/dist\n/target\n"), "{kept}");
        }
    }
}

#[test]
fn a_template_whose_page_needs_npm_says_so() {
    let here = Directory::new();
    let said = succeeds(stateroom(&here, &["new", "text", "--template", "yjs"]));
    assert!(said.contains("`cd web && npm ci && npm run build`"), "{said}");
    let page = fs::read_to_string(here.path("text/static/index.html")).unwrap();
    assert!(page.contains("npm run build"), "{page}");
    for file in ["web/editor.js", "web/package.json", "web/package-lock.json", "src/check.rs"] {
        assert!(here.path("text").join(file).exists(), "{file}");
    }
    let kept = fs::read_to_string(here.path("text/.gitignore")).unwrap();
    assert!(kept.contains("/static/editor.js\n"), "{kept}");
    let parts = ["`yjs` needs the standard library", "--no-std"];
    fails(stateroom(&here, &["new", "small", "--template", "yjs", "--no-std"]), &parts);
    assert!(!here.path("small").exists());
}

#[test]
fn names_that_no_package_can_have_are_refused() {
    let here = Directory::new();
    for (name, problem) in [
        ("2048", "begin with a letter"),
        ("größe", "has `ö` in it"),
        ("async", "another name"),
        ("rooms/std", "`std` is no name"),
        ("..", "is empty"),
    ] {
        fails(stateroom(&here, &["new", name]), &["no name for a package", problem]);
    }
    assert_eq!(here.entries(), [""; 0]);
    refuses(&here, &["new"], &["NAME"]);
    refuses(&here, &["new", "room", "--template", "forum"], &["forum", "counter", "yjs", "minimal"]);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let here = Directory::new()
        .with("full/notes.txt", "years of work")
        .with("file", "")
        .with("cloned/.git/HEAD", "");
    fails(stateroom(&here, &["new", "full"]), &["`full` exists and holds `notes.txt`", "another name"]);
    assert_eq!(fs::read(here.path("full/notes.txt")).unwrap(), b"years of work");
    assert!(!here.path("full/Cargo.toml").exists());
    fails(stateroom(&here, &["new", "file"]), &["`file` is a file"]);
    // An empty directory, and an empty repository.
    fs::create_dir(here.path("empty")).unwrap();
    for name in ["empty", "cloned", "deep/er/room"] {
        succeeds(stateroom(&here, &["new", name]));
        assert!(here.path(name).join("src/lib.rs").exists());
    }
}

#[test]
fn a_package_in_a_workspace_says_how_it_becomes_a_member() {
    let here = Directory::new().with("Cargo.toml", "[workspace]\nmembers = []\n");
    succeeds(stateroom(&here, &["new", "room"]));
    let manifest = fs::read_to_string(here.path("room/Cargo.toml")).unwrap();
    assert!(manifest.contains("\n[workspace]\n") && manifest.contains("To make it a member"), "{manifest}");
    let (status, said) = run(cargo(&here, "room", &["metadata", "--no-deps", "--format-version=1"]));
    assert_eq!(status, 0, "{said}");
}

#[cfg(unix)]
#[test]
fn a_package_in_a_workspace_is_one_wherever_that_is() {
    let here = Directory::new().with("a\n[b/Cargo.toml", "[workspace]\nmembers = []\n");
    succeeds(stateroom(&here, &["new", "a\n[b/room"]));
    let (status, said) = run(cargo(&here, "a\n[b/room", &["metadata", "--no-deps", "--format-version=1"]));
    assert_eq!(status, 0, "{said}");
}

//! The directory of rooms on disk: who may use it, what changes it, and how all of it is saved and comes back.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use stateroom_tests::{Child, Output, binary, eventually};

use super::Place;

/// Returns all files below a directory with their modes, times and contents.
fn all_files(directory: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("it is a directory") {
        let path = entry.expect("it can be read").path();
        let metadata = fs::metadata(&path).expect("it is there");
        let content = if metadata.is_dir() {
            files.extend(all_files(&path));
            Vec::new()
        } else {
            fs::read(&path).expect("it can be read")
        };
        files.insert(path, (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), content));
    }
    files
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is a directory") {
        let entry = entry.expect("it can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("it can be copied");
        }
    }
}

/// Makes rooms in the directory `a`, and kills the server.
fn with_rooms(rooms: &[&str]) -> Place {
    let place = Place::new();
    let server = place.serve("a");
    for room in rooms {
        server.client(room).ask("a");
    }
    server.end(Signal::KILL);
    place
}

#[test]
fn reading_rooms_changes_nothing_in_their_directory() {
    let place = with_rooms(&["one", "two"]);
    let path = place.0.path().join("a");
    let before = all_files(&path);
    for arguments in [
        &["list", "--data", "a"][..],
        &["show", "one", "--data", "a"],
        &["export", "one", "--data", "a", "-o", "one.room"],
        &["export", "--all", "--data", "a", "-o", "all"],
    ] {
        let (code, stdout, stderr) = place.run(arguments);
        assert_eq!((code, &*stderr), (0, ""), "{stdout}");
        assert!(before == all_files(&path), "{arguments:?} has changed something");
    }
    // A copy without the file that is locked.
    copy_all(&path, &place.0.path().join("copy"));
    fs::remove_file(place.0.path().join("copy/lock")).expect("it is there");
    assert_eq!(place.succeeds(&["list", "--data", "copy"]), place.succeeds(&["list", "--data", "a"]));
    assert!(!place.0.path().join("copy/lock").exists());
}

#[test]
fn several_processes_read_a_directory_but_not_while_a_server_has_it() {
    let place = with_rooms(&["one"]);
    let lock = fs::File::open(place.0.path().join("a/lock")).expect("it is there");
    lock.lock_shared().expect("nobody has it");
    assert_eq!(place.succeeds(&["list", "--data", "a"]).lines().count(), 1);
    place.fails(&["delete", "one", "--data", "a"], &["a server uses `a`"]);
    drop(lock);
    let _server = place.serve("a");
    place.fails(&["list", "--data", "a"], &["a server uses `a`"]);
}

#[test]
fn only_the_owner_of_a_directory_changes_it() {
    let place = with_rooms(&["one"]);
    let journal = place.0.path().join("a/journal");
    if chown(&journal, Some(12_345), None).is_err() {
        eprintln!("not tested: only root can give a directory away");
        return;
    }
    let before = all_files(&place.0.path().join("a"));
    let parts = ["cannot use the rooms in `a`", "belongs to user 12345", "sudo -u '#12345'"];
    place.succeeds(&["export", "one", "--data", "a", "-o", "one.room"]);
    place.fails(&["delete", "one", "--data", "a"], &parts);
    place.fails(&["import", "one.room", "--as", "two", "--data", "a"], &parts);
    assert!(before == all_files(&place.0.path().join("a")));
}

#[test]
fn new_files_are_private_and_a_directory_that_others_can_read_stays_so() {
    let place = Place::new();
    let open = place.0.path().join("a");
    fs::create_dir(&open).expect("it can be made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("it is ours");
    for data in ["a", "b"] {
        let server = place.serve(data);
        server.client("one").ask("a");
        server.end(Signal::TERM);
        for (path, (mode, ..)) in all_files(&place.0.path().join(data)) {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode & 0o777, wanted, "{}", path.display());
        }
    }
    let mode = |data: &str| fs::metadata(place.0.path().join(data)).expect("it is there").mode() & 0o777;
    assert_eq!((mode("a"), mode("b")), (0o755, 0o700));
}

#[test]
fn all_rooms_are_exported_and_restored_with_and_without_a_server() {
    let long = "%20a".repeat(256);
    let rooms = ["one", "two%2F2", "One", ".hidden", "-x", &long];
    let place = Place::new();
    let server = place.serve("a");
    for room in rooms {
        server.client(room).ask("a");
    }
    eventually("no room is in memory", || {
        place.succeeds(&["list", "--admin", "./a.sock"]).matches("on disk").count() == rooms.len()
    });
    let export = |by: [&str; 2], to: &str| {
        let said = place.succeeds(&["export", "--all", by[0], by[1], "-o", to]);
        assert_eq!(said, "exported 6 rooms\n");
        all_files(&place.0.path().join(to)).into_iter().map(|(path, (mode, _, _, content))| {
            assert_eq!(mode & 0o777, 0o600);
            (path.file_name().expect("it has one").to_owned(), content)
        })
    };
    let online: Vec<_> = export(["--admin", "./a.sock"], "online").collect();
    server.end(Signal::TERM);
    let offline: Vec<_> = export(["--data", "a"], "offline").collect();
    assert!(online == offline);
    let names: Vec<_> = online.iter().map(|(name, _)| name.to_string_lossy()).collect();
    for name in ["one.room", "One.room", "two%2F2.room", "%2Ehidden.room", "-x.room"] {
        assert!(names.contains(&name.into()), "{name} is not in: {names:?}");
    }
    place.fails(
        &["export", "--all", "--data", "a", "-o", "offline"],
        &["cannot write to `offline`", "a new directory"],
    );

    // The shell's `*.room` has all of them.
    let files = names.iter().map(|name| format!("./online/{name}"));
    let files: Vec<_> = files.collect();
    let import = |by: [&str; 2]| {
        let mut arguments = vec!["import", by[0], by[1]];
        arguments.extend(files.iter().map(|file| &**file));
        let said = place.succeeds(&arguments);
        assert_eq!(said.lines().count(), 6, "{said}");
    };
    import(["--data", "b"]);
    let server = place.serve("c");
    import(["--admin", "./c.sock"]);
    let ids = |list: String| {
        let ids = list.lines().map(|line| line.get(54..).unwrap_or_default().to_owned());
        ids.collect::<Vec<_>>()
    };
    let wanted = ids(place.succeeds(&["list", "--data", "a"]));
    assert_eq!(wanted.len(), 6);
    assert_eq!(ids(place.succeeds(&["list", "--data", "b"])), wanted);
    assert_eq!(ids(place.succeeds(&["list", "--admin", "./c.sock"])), wanted);
    assert_eq!(server.client("two%2F2").ask("?"), "1");
    server.child.line(Output::Stderr, "the operator has imported room \"one\"");
    place.succeeds(&["delete", "one", "--admin", "./c.sock"]);
    server.child.line(Output::Stderr, "the operator has deleted room \"one\"");

    // Those that exist do not keep the others from it.
    let (code, stdout, stderr) =
        place.run(&["import", "--admin", "./c.sock", &files[0], "./online/one.room"]);
    assert_eq!((code, &*stdout), (1, "imported one\n"), "{stderr}");
    assert!(stderr.contains("exists") && stderr.contains("1 of 2 files are not imported"), "{stderr}");
}

#[test]
fn a_room_that_cannot_be_exported_does_not_keep_others_from_it() {
    let place = Place::new();
    let server = place.serve("a");
    server.client("one").ask("this is in one room");
    server.client("two").ask("this is in the other");
    eventually("no room is in memory", || {
        place.succeeds(&["list", "--admin", "./a.sock"]).matches("on disk").count() == 2
    });
    let (path, at, byte) = all_files(&place.0.path().join("a/journal"))
        .into_iter()
        .find_map(|(path, (.., bytes))| {
            let at = bytes.windows(11).position(|window| window == b"in one room")?;
            Some((path, at as u64, bytes[at] ^ 1))
        })
        .expect("it is in a file");
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.write_all_at(&[byte], at).expect("it can be written");
    let (code, stdout, stderr) = place.run(&["export", "--all", "--admin", "./a.sock", "-o", "all"]);
    assert_eq!((code, &*stdout), (1, "exported 1 rooms\n"), "{stderr}");
    for part in ["room \"one\" is not exported", "is damaged", "1 rooms are not exported"] {
        assert!(stderr.contains(part), "{part} is not in: {stderr}");
    }
    assert!(place.0.path().join("all/two.room").exists());
    drop(server);
}

#[test]
fn a_damaged_module_is_not_exported() {
    let place = with_rooms(&["one"]);
    let module = all_files(&place.0.path().join("a/modules")).into_keys().next().expect("there is one");
    let mut bytes = fs::read(&module).expect("it can be read");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(module, bytes).expect("it can be written");
    let parts = ["its module is damaged: `modules/", "another SHA-256"];
    place.fails(&["export", "one", "--data", "a", "-o", "one.room"], &parts);
    assert!(!place.0.path().join("one.room").exists());
}

#[test]
fn a_journal_that_is_missing_is_reported() {
    let place = with_rooms(&["one"]);
    for path in all_files(&place.0.path().join("a/journal")).into_keys() {
        if path.to_string_lossy().contains("segment-") {
            fs::remove_file(path).expect("it can be removed");
        }
    }
    // One that no room of the empty journal runs.
    let other = place.0.path().join(format!("a/modules/{}.wasm", "0".repeat(64)));
    fs::write(&other, b"").expect("it can be written");
    let server = start(&place, "a");
    server.line(Output::Stderr, "there were rooms in this directory, but the journal has none");
    server.line(Output::Stderr, "serving on ");
    assert!(other.exists(), "whoever restores the journal needs the modules");
}

/// Starts a server that may not come up.
fn start(place: &Place, data: &str) -> Child {
    let mut command = Command::new(binary("stateroom"));
    command.args(["serve", "guest.wasm", "--ip", "127.0.0.1", "--port", "0", "--data", data]);
    Child::of(command.current_dir(place.0.path()))
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_with_a_reason() {
    let place = with_rooms(&["one"]);
    let root = place.0.path();
    fs::create_dir(root.join("src")).expect("it can be made");
    fs::write(root.join("src/lib.rs"), "").expect("it can be written");
    fs::write(root.join("file"), "").expect("it can be written");
    for (data, part) in [
        ("src", "cannot keep rooms in `src`: other files are there, and no rooms; choose an empty directory"),
        ("a/journal", "cannot keep rooms in `a/journal`: other files are there"),
        ("file", "cannot keep rooms in `file`: `file` is a file, and no directory; choose another path"),
        ("no/such", "cannot keep rooms in `no/such`: `no/such`: No such file or directory"),
    ] {
        let mut child = start(&place, data);
        child.line(Output::Stderr, part);
        assert_eq!(child.exit().0, Some(1));
    }
    assert_eq!(fs::read_dir(root.join("src")).expect("it is there").count(), 1);
    // What a file system has of its own, and hidden files, are nobody's.
    fs::create_dir_all(root.join("disk/lost+found")).expect("it can be made");
    fs::write(root.join("disk/.keep"), "").expect("it can be written");
    place.serve("disk").end(Signal::TERM);

    // The header of the only segment.
    let segment = all_files(&root.join("a/journal"))
        .into_keys()
        .find(|path| path.to_string_lossy().contains("segment-"));
    let segment = segment.expect("there is one");
    let name = segment.file_name().expect("it has one").to_string_lossy().into_owned();
    fs::write(&segment, b"nothing").expect("it can be written");
    let parts =
        [&*format!("`{name}` is damaged or missing, at byte 0"), "restore the directory from a backup"];
    place.fails(&["list", "--data", "a"], &parts);
}

#[test]
fn the_errors_of_the_command_name_the_mend() {
    let place = with_rooms(&["one"]);
    place.fails(&["list", "--admin", "./no.sock"], &["cannot reach a server at ./no.sock", "`--data DIR`"]);
    let (code, _, stderr) = place.run(&["list", "--admin", "http://localhost:9000"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("is a URL; give the address alone: `localhost:9000`"), "{stderr}");
    let server = place.serve("a");
    let public = server.address.to_string();
    for action in [&["list"][..], &["show", "one"], &["delete", "one"], &["export", "one", "-o", "one.room"]]
    {
        let arguments = [action, &["--admin", &public]].concat();
        place.fails(&arguments, &["is no operator's address", "`serve --admin`"]);
    }
    server.client("%20").ask("a");
    eventually("it is listed", || place.succeeds(&["list", "--admin", "./a.sock"]).contains("  \" \"\n"));
    place.fails(&["show", "three", "--admin", "./a.sock"], &["there is no room \"three\""]);
    place.fails(&["export", "three", "--admin", "./a.sock", "-o", "x"], &["there is no room \"three\""]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("the system has it");
    let mut command = Command::new(binary("stateroom"));
    command.args(["rooms", "list", "--admin", "./a.sock"]).current_dir(place.0.path());
    let output = command.stdin(Stdio::null()).stdout(full).output().expect("it has been built");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("cannot write to standard output"), "{stderr}");
}

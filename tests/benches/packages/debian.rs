use std::{fs, path::Path, process::Command};

use stateroom_tests::Directory;

use crate::{
    root,
    tool::{is_installed, run},
};

/// Makes the package, installs it in an empty place, and removes it again.
pub(crate) fn check(binary: &Path) {
    println!("the Debian package");
    if !is_installed("dpkg-deb", "dpkg") {
        return;
    }
    let directory = Directory::new();
    run(Command::new(root().join(".ci/deb")).arg(binary).arg("amd64").arg(directory.path()));
    let package = fs::read_dir(directory.path()).unwrap().next().expect("it was written").unwrap().path();
    println!("  {}: {} bytes", package.display(), fs::metadata(&package).unwrap().len());

    let list = run(Command::new("dpkg-deb").arg("-c").arg(&package));
    assert!(list.lines().all(|line| line.contains(" root/root ")), "{list}");
    for path in [
        "/usr/bin/stateroom",
        "/usr/lib/systemd/system/stateroom.service",
        "/usr/lib/systemd/system/stateroom.socket",
        "/etc/default/stateroom",
        "/usr/share/man/man1/stateroom-serve.1.gz",
        "/usr/share/bash-completion/completions/stateroom",
        "/usr/share/zsh/vendor-completions/_stateroom",
        "/usr/share/fish/vendor_completions.d/stateroom.fish",
        "/usr/share/doc/stateroom/copyright",
    ] {
        assert!(list.lines().any(|line| line.ends_with(&format!(" .{path}"))), "no {path}: {list}");
    }
    if is_installed("lintian", "lintian") {
        let fails = "--fail-on=error,warning";
        // Only those who upload to Debian need a bug report for it.
        let mut lintian = Command::new("lintian");
        run(lintian.args([fails, "--suppress-tags", "initial-upload-closes-no-bugs"]).arg(&package));
    }
    installs(&package);
}

fn installs(package: &Path) {
    let root = Directory::new().with("var/lib/dpkg/status", "");
    fs::create_dir_all(root.path().join("var/lib/dpkg/info")).expect("a disk");
    fs::create_dir_all(root.path().join("var/lib/dpkg/updates")).expect("a disk");
    let dpkg = |arguments: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        // The scripts run outside of the root, and know it by `DPKG_ROOT`.
        dpkg.args(["--force-not-root", "--force-script-chrootless", "--force-bad-path", "--root"])
            .arg(root.path());
        run(dpkg.args(arguments))
    };
    let package = package.to_str().expect("a temporary file has a name in UTF-8");
    dpkg(&["-i", package]);
    let at = |path: &str| root.path().join(path);
    let version = run(Command::new(at("usr/bin/stateroom")).arg("--version"));
    assert!(version.starts_with("stateroom "), "{version}");
    // What an operator has changed stays.
    fs::write(at("etc/default/stateroom"), "STATEROOM_OPTIONS=\"--threads 2\"\n").expect("it is there");
    dpkg(&["-i", package]);
    assert!(fs::read_to_string(at("etc/default/stateroom")).unwrap().contains("--threads 2"));
    let completes = format!(
        "source {} && complete -p stateroom",
        at("usr/share/bash-completion/completions/stateroom").display()
    );
    run(Command::new("bash").args(["-c", &completes]));
    dpkg(&["-r", "stateroom"]);
    assert!(!at("usr/bin/stateroom").exists() && at("etc/default/stateroom").exists());
    dpkg(&["-P", "stateroom"]);
    assert!(!at("etc/default/stateroom").exists());
    println!("  is installed, upgraded, removed and purged");
}

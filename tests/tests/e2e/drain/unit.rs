//! The units of systemd in the deployment guide.

use std::{fs, process::Command};

use stateroom_tests::{Directory, binary};

/// Returns the blocks of the guide that are files of this kind.
fn blocks(guide: &str) -> Vec<&str> {
    let blocks = guide.split("```ini\n").skip(1);
    blocks.map(|block| block.split_once("```").expect("a block has an end").0).collect()
}

#[test]
fn systemd_takes_the_units_of_the_guide() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("not tested: there is no systemd-analyze");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let number = version.split_whitespace().nth(1).and_then(|number| number.parse::<u32>().ok());
    // As the guide says.
    let knows_reload = number.expect("a version") >= 253;
    let path = format!("{}/../docs/guide/deploy.md", env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(path).expect("the guide");
    let directory = Directory::new();
    let mut kinds = Vec::new();
    for block in blocks(&guide) {
        let kind = if block.contains("[Service]") { "service" } else { "socket" };
        kinds.push(kind);
        // The programs have to exist.
        let block = block.replace("/opt/rooms/stateroom", &binary("stateroom").display().to_string());
        let block = if knows_reload { block } else { block.replace("Type=notify-reload", "Type=notify") };
        fs::write(directory.path().join(format!("rooms.{kind}")), block).expect("a disk");
    }
    assert_eq!(kinds, ["service", "socket"]);
    for kind in kinds {
        let unit = directory.path().join(format!("rooms.{kind}"));
        let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output();
        let verified = verified.expect("it runs");
        let text = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "{text}");
        // An unknown option is only warned of.
        assert!(!text.lines().any(|line| line.contains("rooms.")), "{text}");
    }
}

//! The files with the certificate and its key.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use rustix::process::Signal;
use rustls::version::TLS13;
use stateroom_tests::{
    Child, Directory, Output,
    tls::{Authority, TlsClient, write_key},
};

use super::{command, start};

/// Starts a server that has to refuse its files, and returns what it says of this one.
#[track_caller]
fn refusal(directory: &Directory, file: &str) -> String {
    let mut child = start(directory, &[]);
    let path = directory.path().join(file);
    let line = child.line(Output::Stderr, &format!("`{}` ", path.display()));
    assert_eq!(child.exit().0, Some(1), "{line}");
    line
}

#[test]
fn files_that_are_of_no_use_are_named_with_the_mend() {
    let authority = Authority::new();
    let (ours, other) = (authority.issue(), authority.issue());
    let directory = Directory::new();
    let see = " (see `--tls-cert` and `--tls-key`)";
    assert_eq!(refusal(&directory, "cert.pem"), format!("does not exist{see}"));

    ours.write(&directory);
    fs::remove_file(directory.path().join("key.pem")).expect("it is there");
    assert_eq!(refusal(&directory, "key.pem"), format!("does not exist{see}"));

    write_key(&directory, &other.key);
    let cert = directory.path().join("cert.pem");
    let words = format!("is the key of another certificate than that in `{}`{see}", cert.display());
    assert_eq!(refusal(&directory, "key.pem"), words);

    write_key(&directory, &ours.key);
    let write = |text: &str| fs::write(&cert, text).expect("a disk");
    write(&(authority.certificate.pem() + &ours.certificate));
    assert!(
        refusal(&directory, "cert.pem")
            .starts_with("has the certificates in the wrong order: that of the server")
    );
    write(&ours.key);
    assert!(
        refusal(&directory, "cert.pem")
            .starts_with("has a key and no certificate; are the two files swapped?")
    );
    write("hello");
    assert!(refusal(&directory, "cert.pem").starts_with("has no certificate in it: it is a PEM file"));
    write(&ours.certificate.replace("-----END", "-----AND"));
    assert!(refusal(&directory, "cert.pem").starts_with("is damaged: "));
    write("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    assert!(refusal(&directory, "cert.pem").starts_with("has a certificate that is damaged"));

    ours.write(&directory);
    write_key(&directory, &ours.certificate);
    assert!(
        refusal(&directory, "key.pem")
            .starts_with("has a certificate and no key; are the two files swapped?")
    );
    write_key(
        &directory,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(refusal(&directory, "key.pem").contains("`openssl pkey -in OLD -out NEW`"));
    write_key(&directory, "");
    assert!(refusal(&directory, "key.pem").starts_with("has no private key in it"));
    write_key(&directory, "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    assert!(refusal(&directory, "key.pem").starts_with("has a key of a kind that cannot be used"));
}

#[test]
fn a_certificate_that_has_expired_and_a_key_for_everybody_are_warned_of() {
    let authority = Authority::new();
    let directory = Directory::new();
    authority.issue_until(2020).write(&directory);
    let key = directory.path().join("key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (child, _) = command(&directory, &[]);
    drop(child);
    let child = start(&directory, &[]);
    child.line(Output::Stderr, "cert.pem` has expired, and clients refuse it");
    child.line(Output::Stderr, "all users of this machine can read the key in ");
    child.line(Output::Stderr, "serving on ");
}

#[test]
fn a_certificate_that_expires_soon_is_warned_of_in_time() {
    const DAY: Duration = Duration::from_secs(86_400);
    let authority = Authority::new();
    for (ago, left, is_soon) in [(89, 1, true), (76, 14, true), (60, 30, false), (6, 1, true), (3, 3, false)]
    {
        let directory = Directory::new();
        // Half an hour may pass before it is read.
        authority.issue_around_now(DAY * ago, DAY * left + Duration::from_secs(1_800)).write(&directory);
        let child = start(&directory, &[]);
        let line = format!("cert.pem` expires in {left} days and 0 hours: renew it, and send SIGHUP");
        let mut is_said = false;
        loop {
            let said = child.next_line(Output::Stderr);
            is_said |= said.contains(&line);
            if said.contains("serving on ") {
                break;
            }
        }
        assert_eq!(is_said, is_soon, "{left}");
    }
}

#[test]
fn a_chain_of_certificates_is_sent() {
    let authority = Authority::new();
    let directory = Directory::new();
    let mut ours = authority.issue();
    ours.certificate += &authority.certificate.pem();
    ours.write(&directory);
    let (_child, address) = command(&directory, &[]);
    let client = TlsClient::connect(address, &Arc::new(authority.client(&[&TLS13])), "room");
    assert_eq!(client.connection().peer_certificates().map(<[_]>::len), Some(2));
}

#[track_caller]
fn hang_up(child: &Child, line: &str) -> String {
    child.signal(Signal::HUP);
    child.line(Output::Stderr, line)
}

#[test]
fn a_new_certificate_is_used_after_sighup_and_clients_stay() {
    let authority = Authority::new();
    let directory = Directory::new();
    let (first, second) = (authority.issue(), authority.issue());
    first.write(&directory);
    let (child, address) = command(&directory, &[]);
    // Without resumption, which shows the certificate of the first handshake.
    let connect = || TlsClient::connect(address, &Arc::new(authority.client(&[&TLS13])), "room");
    let mut early = connect();
    assert_eq!(early.certificate(), first.der);
    second.write(&directory);
    hang_up(&child, "read the certificate and its key again");
    let mut late = connect();
    assert_eq!(late.certificate(), second.der);
    assert_eq!((early.ask("early"), late.ask("late")), ("early".to_owned(), "late".to_owned()));

    // What is written in the middle is not used, and the next attempt is.
    write_key(&directory, &first.key);
    let line = hang_up(&child, "the previous certificate is still used: ");
    assert!(line.contains("key.pem` is the key of another certificate"), "{line}");
    assert_eq!(connect().certificate(), second.der);
    first.write(&directory);
    hang_up(&child, "read the certificate and its key again");
    assert_eq!(connect().certificate(), first.der);
    assert_eq!(early.ask("early"), "early");
}

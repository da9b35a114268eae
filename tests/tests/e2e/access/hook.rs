use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use smol::Timer;
use stateroom_server_smol::{Access, Claims, Denial};
use stateroom_tests::{Client, TestServer, server, services::bouncer};

#[test]
fn a_program_decides_who_enters() {
    for threads in [1, 2] {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let access = Access::new(move |entry| {
            counted.fetch_add(1, Ordering::Relaxed);
            async move {
                // Others go on meanwhile.
                Timer::after(std::time::Duration::from_millis(5)).await;
                assert!(entry.address().is_loopback() && !entry.creates());
                match (entry.token(), entry.room(), entry.query(), entry.header("x-user")) {
                    (Some("word"), "lobby", Some("token=1&ask=auth:sub"), Some(user)) => {
                        Claims::of([("sub", user)]).map_err(Denial::Unavailable)
                    }
                    (Some("word"), ..) => Err(Denial::Forbidden("another room".to_owned())),
                    (Some(_), ..) => Err(Denial::Unavailable("the database is away".to_owned())),
                    (None, ..) => Err(Denial::Unauthenticated("say the word".to_owned())),
                }
            }
        });
        let access = access.with_cookie("key");
        let server = TestServer::with(server().with_threads(threads).with_access(Some(access)), bouncer());
        let path = "/ws/lobby?token=1&ask=auth:sub";
        let connect = |headers: &[&str]| Client::connect_with(server.address(), path, headers);
        for (headers, status) in [(&[][..], 401), (&["Cookie: key=word"], 403), (&["Cookie: key=other"], 503)]
        {
            let answer = connect(headers).expect_err("it does not enter");
            assert_eq!(answer.status, status, "{headers:?}");
            assert_eq!(answer.header("retry-after").is_some(), status == 503);
        }
        assert!(server.rooms().is_empty());
        let mut client = connect(&["Cookie: key=word", "X-User: ada"]).expect("it enters");
        client.expect(&["connect 1", r#"auth:sub is "ada""#]);
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }
}

//! Tests of the operator's `/metrics`: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write as _},
    net::TcpStream,
    sync::Arc,
};

use rustls::version::TLS13;
use stateroom_server_smol::{AdminAddress, Server, Tls};
use stateroom_tests::{
    Answer, Directory, Module, PATIENCE, TestServer, eventually, server,
    services::script,
    tls::{Authority, TlsClient},
};

/// The metrics of an answer.
struct Metrics {
    /// The types of the families, by the names under which one asks for them.
    families: BTreeMap<String, String>,
    /// The samples, by name and labels as they are written.
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    /// Reads what the server answers.
    #[track_caller]
    fn of(server: &TestServer) -> Self {
        let Some(AdminAddress::Tcp(address)) = server.handle().admin_address() else { panic!("it has none") };
        let mut stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it can be sent");
        let answer = Answer::read(&mut BufReader::new(stream), "GET");
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)));
        Self::parse(str::from_utf8(&answer.body).expect("text"))
    }

    /// Reads a text, and checks the rules of the format.
    #[track_caller]
    fn parse(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").expect("the text is complete");
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let (mut family, mut kind) = ("", "");
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let [what, name, rest] = [(); 3].map(|()| words.next().expect(line));
                match what {
                    "TYPE" => {
                        (family, kind) = (name, rest);
                        let suffix = match kind {
                            "counter" => "_total",
                            "info" => "_info",
                            _ => "",
                        };
                        let name = format!("{name}{suffix}");
                        assert_eq!(families.insert(name, kind.to_owned()), None, "{line} comes twice");
                    }
                    "UNIT" => assert!(name == family && name.ends_with(&format!("_{rest}")), "{line}"),
                    "HELP" => assert!(name == family && !rest.is_empty(), "{line}"),
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, number) = line.rsplit_once(' ').expect(line);
            let suffix = name.split('{').next().and_then(|name| name.strip_prefix(family)).expect(line);
            let suffixes: &[&str] = match kind {
                "gauge" => &[""],
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "info" => &["_info"],
                _ => panic!("{line}"),
            };
            assert!(suffixes.contains(&suffix), "{line}");
            let number: f64 = number.parse().expect(line);
            assert_eq!(samples.insert(name.to_owned(), number), None, "{name} comes twice");
        }
        Self { families, samples }
    }

    /// Returns a sample.
    #[track_caller]
    fn get(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("there is no {name}: {:#?}", self.samples))
    }

    /// Returns the counts of the buckets of a histogram, by their bounds.
    fn buckets(&self, name: &str) -> Vec<(f64, f64)> {
        let begin = format!("{name}_bucket{{le=\"");
        let buckets = self.samples.iter().filter_map(|(name, count)| {
            let bound = name.strip_prefix(&begin)?.strip_suffix("\"}")?;
            Some((if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect(bound) }, *count))
        });
        let mut buckets: Vec<_> = buckets.collect();
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        buckets
    }
}

fn watched() -> Server {
    server().with_admin(Some("127.0.0.1:0".parse().expect("an address")))
}

#[test]
fn what_clients_and_rooms_do_is_counted() {
    let server = TestServer::with(watched().with_threads(2), script());
    let mut clients = [server.client("a"), server.client("a"), server.client("b")];
    for client in &mut clients {
        assert_eq!(client.ask("hello"), "hello");
    }
    clients[0].text("broadcast to both");
    for client in &mut clients[..2] {
        client.expect(&["to both"]);
    }
    let metrics = Metrics::of(&server);
    for (name, number) in [
        ("stateroom_rooms{state=\"awake\"}", 2.0),
        ("stateroom_rooms{state=\"hibernating\"}", 0.0),
        ("stateroom_clients", 3.0),
        ("stateroom_connections_total", 3.0),
        ("stateroom_received_messages_total", 4.0),
        ("stateroom_sent_messages_total", 5.0),
        // Of three texts of 5 bytes and one of 17, with their heads of 6 bytes.
        ("stateroom_received_bytes_total", (3 * (5 + 6) + 17 + 6).into()),
        // Of three texts of 5 bytes and two of 7, with their heads of 2 bytes.
        ("stateroom_sent_bytes_total", (3 * (5 + 2) + 2 * (7 + 2)).into()),
        // `init`, `connect` and `message`.
        ("stateroom_events_total", (2 + 3 + 4).into()),
        ("stateroom_room_changes_total{change=\"created\"}", 2.0),
    ] {
        assert_eq!(metrics.get(name), number, "{name}");
    }
    assert!(metrics.get("stateroom_memory_bytes{of=\"other\"}") > 0.0);
    assert!(metrics.get("stateroom_start_time_seconds") > 1.7e9);
    let [first, ..] = clients;
    first.leave();
    eventually("the close is counted", || {
        let metrics = Metrics::of(&server);
        metrics.samples.get("stateroom_closed_connections_total{reason=\"by_client\"}") == Some(&1.0)
    });
    assert_eq!(server.get("/metrics").status, 404, "it is not for the public");
}

#[test]
fn some_events_are_measured() {
    let server = TestServer::guests(watched(), Module::new().program());
    let mut client = server.client("a");
    for _ in 0..200 {
        assert_eq!(client.ask("a"), "a");
    }
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.get("stateroom_events_total"), 202.0);
    for name in ["stateroom_event_seconds", "stateroom_event_fuel"] {
        let buckets = metrics.buckets(name);
        assert!(buckets.len() > 10 && buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 3.0)), "one in 61");
        assert_eq!(metrics.get(&format!("{name}_count")), 3.0);
        assert!(metrics.get(&format!("{name}_sum")) > 0.0);
    }
}

#[test]
fn failures_are_counted_by_their_kind() {
    let endless = Module::new().told("(loop (br 0))").limits(|limits| limits.fuel = 100_000);
    let server = TestServer::guests(watched(), endless.program());
    let mut client = server.client("a");
    client.text("!");
    assert_eq!(client.closed(), 1011);
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.get("stateroom_room_failures_total{kind=\"out_of_fuel\"}"), 1.0);
    assert_eq!(metrics.get("stateroom_room_changes_total{change=\"ended\"}"), 1.0);
}

#[test]
fn the_journal_is_measured() {
    let data = Directory::new();
    let server = watched().with_data(Some(data.path().join("data")));
    let server = TestServer::guests(server, Module::new().kept_program());
    let mut client = server.client("a");
    for _ in 0..3 {
        assert_eq!(client.ask("a"), "a");
    }
    let metrics = Metrics::of(&server);
    assert_eq!(metrics.get("stateroom_journal_rooms"), 1.0);
    assert_eq!(metrics.get("stateroom_journal_stalled"), 0.0);
    // The client has waited for each of its messages.
    for name in ["stateroom_journal_groups_total", "stateroom_journal_sync_seconds_count"] {
        assert!(metrics.get(name) >= 3.0, "{name}");
    }
    let live = metrics.get("stateroom_journal_live_bytes");
    assert!(live > 0.0 && live < metrics.get("stateroom_journal_size_bytes"));
    assert!(metrics.get("stateroom_journal_written_bytes_total") >= live);
}

/// The text of a file of the documentation.
fn document(path: &str) -> String {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::read_to_string(docs.join(path)).expect("it is there")
}

#[test]
fn the_documents_have_each_metric_and_no_other() {
    let data = Directory::new();
    let authority = Authority::new();
    authority.issue_until(2100).write(&data);
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| data.path().join(name));
    let tls = Tls::from_files(certificate, key).expect("a certificate and its key");
    let server = watched().with_data(Some(data.path().join("data"))).with_tls(Some(tls));
    let server = TestServer::guests(server, Module::new().kept_program());
    let client = Arc::new(authority.client(&[&TLS13]));
    assert_eq!(TlsClient::connect(server.address(), &client, "a").ask("a"), "a");
    let expiry = Metrics::of(&server).get("stateroom_certificate_expiry_seconds");
    assert_eq!(expiry, 4_133_894_400.0, "2100-12-31");
    let mut names = Metrics::of(&server).families;
    // It is there only if passes are measured.
    assert_eq!(names.insert("stateroom_pass_seconds".to_owned(), "gauge".to_owned()), None);
    let page = document("guide/monitoring.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `stateroom_"));
    let documented: BTreeMap<_, _> = rows
        .filter_map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().trim_end_matches('`'));
            let (name, kind) = (cells.next()?, cells.next()?);
            let known = ["counter", "gauge", "histogram", "info"].contains(&kind);
            known.then(|| (format!("stateroom_{name}"), kind.to_owned()))
        })
        .collect();
    assert_eq!(documented, names);
    let dashboard = document("grafana/stateroom.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("a list");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("a list"));
    let mut shown = 0;
    for expression in targets.map(|target| target["expr"].as_str().expect("text")) {
        let is_name = |character: char| character.is_ascii_lowercase() || character == '_';
        for name in expression.split(|character| !is_name(character)) {
            if name.starts_with("stateroom_") {
                let name = name.strip_suffix("_bucket").unwrap_or(name);
                assert!(names.contains_key(name), "{name} in {expression}");
                shown += 1;
            }
        }
    }
    assert!(shown > 20, "{shown}");
}

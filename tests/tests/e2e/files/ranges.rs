use std::time::{Duration, SystemTime};

use super::{Site, header};

/// A file whose bytes tell where they are.
fn numbered() -> Vec<u8> {
    (0..100_000u32).flat_map(u32::to_be_bytes).collect()
}

fn site() -> Site {
    Site::new(&[("a.mp4", &numbered()), ("empty.bin", b"")])
}

#[test]
fn a_player_gets_the_part_that_it_asks_for() {
    let (site, content) = (site(), numbered());
    let whole = site.get("/a.mp4", &[]);
    assert_eq!((whole.status, header(&whole, "accept-ranges")), (200, "bytes"));
    assert_eq!(whole.body, content);
    for (range, begin, end) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 399_999),
        ("bytes=100-199", 100, 199),
        // It begins in one piece and ends in another.
        ("bytes=65530-131080", 65_530, 131_080),
        ("bytes=399999-", 399_999, 399_999),
        ("bytes=399990-1000000", 399_990, 399_999),
        ("bytes=399990-99999999999999999999999", 399_990, 399_999),
        ("bytes=-10", 399_990, 399_999),
        ("bytes=-1000000", 0, 399_999),
        ("Bytes= 5-9 ", 5, 9),
        ("bytes=,5-9,", 5, 9),
    ] {
        let part = site.get("/a.mp4", &[&format!("Range: {range}")]);
        assert_eq!(part.status, 206, "{range}");
        assert_eq!(header(&part, "content-range"), format!("bytes {begin}-{end}/400000"), "{range}");
        assert_eq!(part.body, content[begin..=end], "{range}");
        for name in ["etag", "last-modified", "cache-control", "content-type", "accept-ranges"] {
            assert_eq!(part.header(name).map(untagged), whole.header(name).map(untagged), "{range} {name}");
        }
    }
}

/// Returns a value without the mark of a weak tag, which a file loses with its age.
fn untagged(value: &str) -> &str {
    value.trim_start_matches("W/")
}

#[test]
fn a_part_that_is_not_there_is_refused_with_the_size() {
    let site = site();
    for (path, range, size) in [
        ("/a.mp4", "bytes=400000-", 400_000),
        ("/a.mp4", "bytes=99999999999999999999999-", 400_000),
        ("/a.mp4", "bytes=-0", 400_000),
        ("/empty.bin", "bytes=0-", 0),
    ] {
        let answer = site.get(path, &[&format!("Range: {range}")]);
        assert_eq!(answer.status, 416, "{range}");
        assert_eq!(header(&answer, "content-range"), format!("bytes */{size}"), "{range}");
    }
}

#[test]
fn what_is_no_range_of_bytes_gets_all_of_the_file() {
    let site = site();
    for range in [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=9-5",
        "bytes=+1-2",
        "bytes=0x0-1",
        "bytes 0-1",
        "seconds=0-1",
        // One answer would have several parts. A server may ignore that.
        "bytes=0-1,5-6",
    ] {
        let answer = site.get("/a.mp4", &[&format!("Range: {range}")]);
        assert_eq!((answer.status, answer.body.len()), (200, 400_000), "{range}");
    }
    // It has no last bytes.
    assert_eq!(site.get("/empty.bin", &["Range: bytes=-5"]).status, 200);
    // A range has a meaning for GET alone.
    let head = site.ask("HEAD", "/a.mp4", &["Range: bytes=0-1"]);
    assert_eq!((head.status, header(&head, "content-length")), (200, "400000"));
    assert_eq!(header(&head, "accept-ranges"), "bytes");
}

#[test]
fn a_part_of_another_version_is_not_mixed_with_what_the_client_has() {
    let site = site();
    let part = |known: &str| {
        let answer = site.get("/a.mp4", &["Range: bytes=0-1", &format!("If-Range: {known}")]);
        answer.status
    };
    let tag = site.strong_tag("/a.mp4");
    let date = header(&site.get("/a.mp4", &[]), "last-modified").to_owned();
    assert_eq!(part(&tag), 206);
    assert_eq!(part(&date), 206);
    for other in ["\"0\"", &format!("W/{tag}"), "*", "Fri, 31 Dec 9999 23:59:59 GMT", ""] {
        assert_eq!(part(other), 200, "{other}");
    }
    // Without the part that it asks for, it gets the whole file of another version, and no 416.
    let answer = site.get("/a.mp4", &["Range: bytes=400000-", "If-Range: \"0\""]);
    assert_eq!(answer.status, 200);
    site.write("a.mp4", &numbered(), SystemTime::now() - Duration::from_secs(100));
    assert_eq!((part(&tag), part(&date)), (200, 200));
    // It has just been changed, and might be once more without a sign of it.
    let changed = site.get("/a.mp4", &[]);
    assert!(header(&changed, "etag").starts_with("W/") || part(header(&changed, "etag")) == 206);
}

#[test]
fn a_copy_that_is_the_same_comes_before_a_part() {
    let site = site();
    let tag = site.strong_tag("/a.mp4");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(site.get("/a.mp4", &["Range: bytes=0-1", &known]).status, 304);
    assert_eq!(site.get("/a.mp4", &["Range: bytes=0-1", "If-None-Match: \"0\""]).status, 206);
}

use std::{fs, path::Path};

/// Returns whether two lines are the same but for times, and for sizes, which are about the same.
pub(crate) fn is_like(expected: &str, actual: &str) -> bool {
    let (expected, actual) = (pieces(expected), pieces(actual));
    expected.len() == actual.len()
        && (0..expected.len()).all(|index| {
            let unit = expected.get(index + 1).unwrap_or(&"");
            let is_size = unit.starts_with(" bytes") || unit.starts_with(" KiB");
            match (expected[index].parse::<u64>(), actual[index].parse::<u64>()) {
                (Ok(a), Ok(b)) if is_size => a.abs_diff(b) <= a / 5,
                (Ok(_), Ok(_)) if unit.starts_with(" ms") => true,
                _ => expected[index] == actual[index],
            }
        })
}

/// Returns the numbers of a line, and what is between them.
fn pieces(line: &str) -> Vec<&str> {
    line.trim_end().as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).map(utf8).collect()
}

fn utf8(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("text that is cut at ASCII digits alone stays text")
}

pub(crate) fn printed(output: &Path) -> String {
    String::from_utf8_lossy(&fs::read(output).unwrap()).into_owned()
}

#[test]
fn sizes_may_differ_and_results_may_not() {
    assert!(is_like("built x: 3389 bytes", "built x: 3400 bytes"));
    assert!(is_like("16096 bytes (16 KiB)", "14900 bytes (15 KiB)"));
    assert!(is_like("port 8080", "port 8080"));
    assert!(is_like("after 3 ms: a", "after 140 ms: a"));
    for (expected, actual) in [
        ("built x: 3389 bytes", "built x: 4400 bytes"),
        ("built x: 3389 bytes", "built y: 3389 bytes"),
        ("built x: 3389 bytes", "built x: 3389 bytes more"),
        ("port 8080", "port 8081"),
        ("new value: 1", "new value: 2"),
        ("new value: 1", "new value: 12"),
    ] {
        assert!(!is_like(expected, actual), "{expected} / {actual}");
    }
}

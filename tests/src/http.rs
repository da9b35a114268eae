use std::{
    io::{BufRead, Read as _},
    str,
};

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The content.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads the response to a request with `method`.
    #[track_caller]
    pub fn read(from: &mut impl BufRead, method: &str) -> Self {
        let first = line(from);
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("this is no status line: {first:?}"));
        let mut headers = Vec::new();
        loop {
            let line = line(from);
            let Some((name, value)) = line.split_once(':') else {
                assert_eq!(line, "", "this is no header");
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Self { status, headers, body: Vec::new() };
        let len = match (method, status) {
            ("HEAD", _) | (_, 101 | 204 | 304) => 0,
            _ => answer.header("content-length").expect("a content-length").parse().expect("a number"),
        };
        from.take(len).read_to_end(&mut answer.body).expect("the content");
        assert_eq!(answer.body.len() as u64, len, "the content has its length");
        answer
    }

    /// Returns the value of a header, whose name is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|(_, value)| value.as_str())
    }

    /// Returns the content as text.
    #[must_use]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text is UTF-8")
    }
}

#[track_caller]
fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

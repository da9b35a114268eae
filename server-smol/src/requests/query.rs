use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Returns the parameters of a query, as forms write them (the URL standard's `application/x-www-form-urlencoded`).
/// Those that are not UTF-8 are left out.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((decode(name)?, decode(value)?))
    })
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

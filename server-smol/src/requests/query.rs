use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A name and a value.
type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Returns the parameters of a query, as forms write them (the URL standard's `application/x-www-form-urlencoded`).
/// Those that are not UTF-8 are left out.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = Parameter<'_>> {
    all_parameters(query).filter_map(Result::ok)
}

/// Returns the same parameters, with an error for each that is not UTF-8.
pub(crate) fn all_parameters(query: &str) -> impl Iterator<Item = Result<Parameter<'_>, &'static str>> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        decode(name).zip(decode(value)).ok_or("a parameter is UTF-8, percent-encoded")
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

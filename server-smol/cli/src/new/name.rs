/// Rust's own words (reference, "Keywords"), and the crates that come with it.
const WORDS: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// The crates that each guest uses.
const CRATES: &[&str] = &["stateroom_core", "stateroom_sdk_core", "stateroom_sdk_macro"];

/// Checks the name of a package. Returns what is wrong with it.
pub(super) fn check(name: &str) -> Result<(), String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if let Some(wrong) = name.chars().find(|character| !allowed(*character)) {
        return Err(format!("has `{wrong}` in it: take letters from a to z, digits, `-` and `_`"));
    }
    match name.chars().next() {
        None => return Err("is empty: give the package a name, such as `chat`".to_owned()),
        Some('0'..='9' | '-') => return Err("does not begin with a letter".to_owned()),
        Some(_) => {}
    }
    let name = &*name.replace('-', "_");
    if WORDS.contains(&name) {
        return Err("is a word of Rust's own: take another name".to_owned());
    }
    if CRATES.contains(&name) {
        return Err("is a crate that guests use: take another name".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_are_those_of_cargo() {
        for good in ["chat", "my-room", "_room2", "Tic-Tac-Toe", "testing"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, problem) in [
            ("", "is empty"),
            ("2048", "begin with a letter"),
            ("-room", "begin with a letter"),
            ("größe", "has `ö` in it"),
            ("my room", "has ` ` in it"),
            ("room.1", "has `.` in it"),
            ("async", "is a word of Rust's own: take"),
            ("proc-macro", "Rust's own"),
            ("std", "Rust's own"),
            ("stateroom-sdk-core", "is a crate that guests use: take"),
        ] {
            let told = check(bad).unwrap_err();
            assert!(told.contains(problem), "{bad}: {told}");
        }
    }
}

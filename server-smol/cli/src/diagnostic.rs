use std::{
    env, fs,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use serde::Deserialize;

use super::{
    color,
    dependencies::{Dependencies, mend},
    linker::Memory,
    package::Package,
};

/// A message of the compiler, in the form in which cargo passes it on.
#[derive(Debug, Deserialize)]
pub(crate) struct Diagnostic {
    message: String,
    #[serde(default)]
    level: String,
    /// The text for people.
    rendered: Option<String>,
    #[serde(default)]
    children: Vec<Self>,
}

/// Returns the format for compiler messages that cargo must use. This program can parse it, and the texts in
/// it have the same colours as cargo's own output.
pub(crate) fn format() -> &'static str {
    let from_environment = env::var("CARGO_TERM_COLOR").ok();
    let colourful = match color::for_cargo().or(from_environment.as_deref()) {
        Some("always") => true,
        Some("never") => false,
        _ => color::is_on(),
    };
    if colourful { "--message-format=json-diagnostic-rendered-ansi" } else { "--message-format=json" }
}

impl Diagnostic {
    /// Shows it among what cargo prints.
    pub(crate) fn show(&self) {
        let Some(rendered) = &self.rendered else { return };
        log::logger().flush();
        let mut stderr = io::stderr().lock();
        // On a terminal, the line may have cargo's progress in it.
        let begin = if stderr.is_terminal() { "\r\x1b[K" } else { "" };
        // Nobody may be reading: that is no reason to panic.
        let _ = write!(stderr, "{begin}{rendered}");
    }

    /// Returns the text for people without colours, if it is an error.
    pub(crate) fn error(&self) -> Option<String> {
        let rendered = self.rendered.as_deref().filter(|_| self.level.starts_with("error"))?;
        Some(color::without(rendered))
    }

    /// Returns advice that the compiler does not give, if there is any.
    pub(crate) fn hint(
        &self,
        dependencies: &Dependencies,
        package: &Package,
        directory: &Path,
    ) -> Option<String> {
        let memory = dependencies.memory();
        if self.says("no global memory allocator found") {
            return Some(
                "enable the feature `alloc` of stateroom-sdk-core, which brings an allocator".into(),
            );
        }
        let lacks = |feature: &&str| !dependencies.sdk_has(feature) && self.misses_feature(feature);
        if let Some(feature) = ["json", "postcard"].iter().find(|feature| lacks(feature)) {
            return Some(format!("enable the feature `{feature}` of stateroom-sdk-core"));
        }
        let asks_a_system = [("getrandom", "not supported by default"), ("`uuid`", "source of randomness")];
        if let Some((name, _)) =
            asks_a_system.iter().find(|(name, words)| self.says(name) && self.says(words))
        {
            let name = name.trim_matches('`');
            return Some(format!(
                "`{name}` takes random numbers from the system: {}",
                mend(memory, directory)
            ));
        }
        if memory == Memory::Std || !self.says("`panic_impl`") {
            return None;
        }
        let origin =
            self.texts().find_map(|text| text.split_once("crate `std` (which `")?.1.split('`').next())?;
        let says_no_std = fs::read_to_string(&package.source).is_ok_and(|source| source.contains("no_std"));
        Some(if says_no_std {
            format!(
                "`{origin}` brings the standard library: give it `default-features = false` in `Cargo.toml`, or enable the feature `std` of stateroom-sdk-core"
            )
        } else {
            // Easy to forget, and hard to tell from what the compiler says of it.
            format!(
                "without the feature `std` of stateroom-sdk-core a guest has no standard library: begin `{}` with `#![no_std]`, or enable the feature",
                package.source.display(),
            )
        })
    }

    /// Returns true if it is about something that the SDK has only with this feature.
    fn misses_feature(&self, feature: &str) -> bool {
        let wrapper = match feature {
            "json" => "Json",
            _ => "Postcard",
        };
        let is_used = self.message.starts_with("cannot find ") && self.says(&format!("`{wrapper}`"));
        let is_imported =
            self.message.starts_with("unresolved import") && self.says(&format!("::{wrapper}`"));
        let reads = format!("no method named `{feature}` found for enum ");
        let is_read = self.message.starts_with(&reads) && self.message.contains("MessagePayload<");
        is_used || is_imported || is_read
    }

    fn says(&self, words: &str) -> bool {
        self.texts().any(|text| text.contains(words))
    }

    /// Returns its message and its notes.
    fn texts(&self) -> impl Iterator<Item = &str> {
        [&self.message].into_iter().chain(self.children.iter().map(|note| &note.message)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn hint(features: &str, message: &str, note: &str) -> Option<String> {
        let dependencies =
            Dependencies::from_tree(&format!("0a v0.1.0\t\n1stateroom-sdk-core v0.1.0\t{features}\n"));
        let package = Package {
            target_directory: PathBuf::new(),
            id: String::new(),
            name: String::new(),
            source: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk-core/src/lib.rs")),
            workspace: PathBuf::new(),
            local_dependencies: Vec::new(),
            written: Vec::new(),
        };
        let note =
            Diagnostic { message: note.into(), level: String::new(), rendered: None, children: Vec::new() };
        Diagnostic { message: message.into(), level: String::new(), rendered: None, children: vec![note] }
            .hint(&dependencies, &package, Path::new("p"))
    }

    #[test]
    fn crates_that_take_random_numbers_are_known_by_what_they_say() {
        for words in [
            "to use `uuid` on `wasm32-unknown-unknown`, specify a source of randomness using one of the `js`, `rng-getrandom`, \
             or `rng-rand` features",
            "the wasm*-unknown-unknown targets are not supported by default, you may need to enable the \"js\" feature. \
             For more information see: https://docs.rs/getrandom/#webassembly-support",
            "The wasm32-unknown-unknown targets are not supported by default; you may need to enable the \"wasm_js\" \
             configuration flag. For more information see: https://docs.rs/getrandom/0.3.4/#webassembly-support",
        ] {
            let hint = hint("std", words, "").unwrap();
            assert!(hint.contains("`target = \"wasm32-wasip1\"`") && hint.contains("`ctx.random`"), "{hint}");
        }
    }

    #[test]
    fn a_feature_of_the_sdk_that_is_missing_is_named() {
        for (feature, words) in [
            ("json", "cannot find function, tuple struct or tuple variant `Json` in this scope"),
            ("json", "unresolved import `stateroom_sdk_core::Json`"),
            (
                "json",
                "no method named `json` found for enum `stateroom_sdk_core::MessagePayload<'a>` in the current scope",
            ),
            ("postcard", "cannot find function, tuple struct or tuple variant `Postcard` in this scope"),
            (
                "postcard",
                "no method named `postcard` found for enum `MessagePayload<'a>` in the current scope",
            ),
        ] {
            let words_of_hint = format!("enable the feature `{feature}` of stateroom-sdk-core");
            assert_eq!(hint("std", words, ""), Some(words_of_hint), "{words}");
            // It is there, and something else is wrong.
            assert_eq!(hint("json,postcard,std", words, ""), None, "{words}");
        }
        assert_eq!(hint("std", "cannot find value `json` in this scope", ""), None);
        assert_eq!(
            hint("std", "no method named `json` found for struct `Response` in the current scope", ""),
            None
        );
    }

    #[test]
    fn the_crate_that_brings_the_standard_library_is_found_in_either_order() {
        let message = "found duplicate lang item `panic_impl`";
        let note = "the lang item is first defined in crate `std` (which `serde` depends on)";
        assert!(hint("", message, note).unwrap().starts_with("`serde` brings"));
        let message = "duplicate lang item in crate `std` (which `serde` depends on): `panic_impl`";
        let note = "the lang item is first defined in crate `stateroom_sdk_core` (which `room` depends on)";
        assert!(hint("alloc", message, note).unwrap().starts_with("`serde` brings"));
        assert_eq!(hint("std", message, note), None);
        assert_eq!(hint("", "mismatched types", note), None);
    }
}

use stateroom_server_smol::SettingProblem;

/// Returns the words for a problem of the settings, with the options of the command line in place of the names of fields. Limits, which
/// can also stand in a file, have words of their own.
pub(crate) fn words(problem: &SettingProblem) -> String {
    let SettingProblem::Contradicts { name, other, why } = problem else { return problem.to_string() };
    format!("{} contradicts {}: {why}", option(name), option(other))
}

/// Returns the option, or options, that set a field.
fn option(field: &'static str) -> &'static str {
    match field {
        // Without a cookie, all is well.
        "access" => "`--auth-cookie`",
        "allowed_origins" => "`--allow-origin`",
        "port" => "`--port` or `--listen`",
        "proxy_protocol" => "`--proxy-protocol`",
        "redirect_http" => "`--redirect-http`",
        "trusted_proxies" => "`--trusted-proxy`",
        // There is a test that each is here.
        field => field,
    }
}

#[cfg(all(test, feature = "auth", feature = "proxy", feature = "tls"))]
mod tests {
    use std::path::Path;

    use stateroom_server_smol::{Access, AllowedOrigin, AuthUrl, Settings};

    use super::*;

    #[test]
    fn all_that_contradicts_something_is_named_as_on_the_command_line() {
        let mut settings = Settings::default();
        let url: AuthUrl = "http://127.0.0.1:1/".parse().expect("a URL");
        settings.access = Some(Access::with_url(url).with_cookie("token"));
        settings.allowed_origins = vec![AllowedOrigin::ANY];
        (settings.port, settings.redirect_http) = (443, Some(443));
        settings.proxy_protocol = true;
        let error = settings.check().expect_err("they contradict each other");
        let words: Vec<_> = error.problems().iter().map(words).collect();
        for (words, begin) in words.iter().zip([
            "`--proxy-protocol` contradicts `--trusted-proxy`: ",
            "`--auth-cookie` contradicts `--allow-origin`: ",
            "`--redirect-http` contradicts `--port` or `--listen`: ",
        ]) {
            assert!(words.starts_with(begin), "{words}");
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/settings/check.rs");
        let source = std::fs::read_to_string(source).expect("the server is beside the command");
        assert_eq!(words.len(), source.matches("SettingProblem::Contradicts {").count(), "{words:?}");
    }
}

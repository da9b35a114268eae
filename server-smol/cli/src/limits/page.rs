use std::{
    fmt,
    io::{self, Write as _},
};

use anyhow::Result;

use super::{ALL, Limit};

/// `stateroom limits`: prints the page.
pub(crate) fn print() -> Result<()> {
    // Nobody may be reading any more: that is no reason to panic.
    let _ = write!(io::stdout(), "{Page}");
    Ok(())
}

/// The page of all limits, with their defaults and reasons.
#[derive(Debug)]
pub(crate) struct Page;

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "\
Limits on what clients, rooms and guests take. Each is a flag of `stateroom serve` and `stateroom dev`,
and a key in the table `[limits]` of `stateroom.toml`: `--max-memory 64MiB` is `memory = \"64MiB\"`.
`stateroom build` copies the table to `dist`. Flags win over the file.

A SIZE is a number of bytes, or of KiB, MiB or GiB: 65536, 64KiB. A NUMBER or FUEL may be one of
k, M or G, for thousands, millions and thousands of millions: 400000, 400_000, 400k.
",
        )?;
        for limit in ALL {
            let Limit { what, why, .. } = limit;
            let (flag, default) = (limit.flag(), limit.shown_default());
            write!(f, "\n  --{flag} <{}> [default: {default}]\n      {what}.\n", limit.value_name())?;
            why.lines().try_for_each(|line| writeln!(f, "      {line}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_all_limits_and_fits_a_terminal() {
        let page = Page.to_string();
        for limit in ALL {
            assert!(page.contains(&format!("\n  --{} <", limit.flag())), "{page}");
        }
        for line in page.lines() {
            assert!(line.chars().count() <= 104, "{line}");
        }
    }
}

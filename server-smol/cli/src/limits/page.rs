use std::{
    fmt,
    io::{self, Write as _},
};

use anyhow::Result;

use super::{ALL, Limit};

/// `stateroom limits`: prints the page.
pub(crate) fn print() -> Result<()> {
    // The reader of the output may be gone. That must not cause a panic.
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
Limits on what clients, rooms and guests may use. Each is a flag of `stateroom serve` and of `dev`,
and a key in the table `[limits]` of `stateroom.toml`: `--max-memory 64MiB` is `memory = \"64MiB\"`.
`stateroom build` copies the table to `dist`. If both set a limit, the flag is used.

A SIZE is a number of bytes. It may end in KiB, MiB or GiB: 65536, 64KiB. A NUMBER or FUEL may end in
k, M or G (thousand, million, billion): 400000, 400_000, 400k.
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

use std::{fs, path::Path, process::Command};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{
    cost::{Count, Totals},
    options::Options,
    page::{Page, Row, shown},
    script::{Script, Spread},
    server::Server,
    tool::Tool,
    verdict::{Verdict, judge},
};

/// The maximum number of times that a count is taken: what chance has added is not there each time.
const TRIES: usize = 3;

/// Counts, and compares with the page or writes it.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("this package is in a workspace")?;
    let path = root.join("docs/costs.md");
    let place = root.join("target/tmp/costs");
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    Tool::ALL.into_iter().try_for_each(|tool| tool.check(&place))?;
    let before = if options.is_writing { None } else { Some(committed(&path)?) };
    let mut page = Page {
        compiler: said(Command::new("rustc").arg("--version").current_dir(root))?,
        processor: std::env::consts::ARCH.to_owned(),
        tools: [Tool::Strace.version()?, Tool::Callgrind.version()?].join(", "),
        rows: Vec::new(),
    };
    let server = Server::build(root, place)?;
    if let Some(before) = &before {
        if before.compiler != page.compiler {
            eprintln!(
                "docs/costs.md is of {}, this is {}: instructions may be 10 % more",
                before.compiler, page.compiler
            );
        }
        if before.processor != page.processor {
            eprintln!(
                "docs/costs.md is of {}: instructions are not compared on {}",
                before.processor, page.processor
            );
        }
    }
    share_a_core().map_err(|error| error.to_string())?;

    let mut differences = Differences::default();
    for script in options.scripts() {
        eprint!("{}, for each {}:", script.title, script.unit);
        let mut totals = Totals::default();
        for tool in Tool::ALL {
            let (found, beside) = count(&server, script, tool, before.as_ref(), &page)?;
            for count in tool.counts() {
                eprint!(" {} {}", shown(found.of(*count)), count.title());
            }
            differences.more.extend(beside.more);
            differences.less.extend(beside.less);
            totals.counts.extend(found.counts);
            totals.calls.extend(found.calls);
        }
        eprintln!();
        page.rows.push(Row { title: script.title.to_owned(), unit: script.unit.to_owned(), totals });
    }
    if options.is_writing {
        return fs::write(&path, page.text()).map_err(|error| error.to_string());
    }
    let Differences { more, less } = differences;
    if !less.is_empty() {
        eprintln!("less than before, which `--write` would keep:\n{}", less.join("\n"));
    }
    if more.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more than before:\n{}\nif it has to be so, `cargo run -p stateroom-tests --bin costs -- --write` accepts it: commit docs/costs.md",
        more.join("\n")
    ))
}

/// The differences from the page, as lines.
#[derive(Debug, Default)]
struct Differences {
    more: Vec<String>,
    less: Vec<String>,
}

fn committed(path: &Path) -> Result<Page, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let page = text.and_then(|text| Page::read(&text));
    page.map_err(|error| format!("docs/costs.md cannot be read: {error}; `--write` writes it anew"))
}

/// Returns what a tool counts for a script, and how that differs from the page. Counts that have grown are counted
/// again. So are counts that differ from run to run, if there is no page yet. The least one is taken.
fn count(
    server: &Server,
    script: &Script,
    tool: Tool,
    before: Option<&Page>,
    now: &Page,
) -> Result<(Totals, Differences), String> {
    let mut least: Option<(Totals, Differences)> = None;
    for _ in 0..TRIES {
        let found = server.count(script, tool)?;
        let differences = before.map(|before| compare(script, tool, &found, before, now)).unwrap_or_default();
        let is_enough = differences.more.is_empty() && (before.is_some() || script.spread == Spread::None);
        let counts = |totals: &Totals| tool.counts().iter().map(|count| totals.of(*count)).sum::<f64>();
        if least.as_ref().is_none_or(|(least, _)| counts(&found) < counts(least)) {
            least = Some((found, differences));
        }
        if is_enough {
            break;
        }
    }
    least.ok_or_else(|| "nothing was counted".to_owned())
}

/// Notes what is more than in the page, and what is less.
fn compare(script: &Script, tool: Tool, found: &Totals, before: &Page, now: &Page) -> Differences {
    let mut differences = Differences::default();
    let Some(row) = before.row(script.title) else {
        differences.more.push(format!("{}: docs/costs.md does not have it", script.title));
        return differences;
    };
    let is_comparable = |count: &&Count| **count != Count::Instructions || before.processor == now.processor;
    for count in tool.counts().iter().filter(is_comparable) {
        let (was, is) = (row.totals.of(*count), found.of(*count));
        let (verdict, was, is) =
            (judge(script, *count, was, is, before.compiler == now.compiler), shown(was), shown(is));
        let line =
            format!("{}: {} for each {}: {is} instead of {was}", script.title, count.title(), script.unit);
        match verdict {
            Verdict::Same => {}
            Verdict::Less => differences.less.push(line),
            Verdict::More => differences.more.push(line + &more_calls(&row.totals, found)),
        }
    }
    differences
}

/// Returns which system calls have become more.
fn more_calls(before: &Totals, now: &Totals) -> String {
    let more = now.calls.iter().filter_map(|(name, is)| {
        let was = before.calls.get(name).copied().unwrap_or(0.0);
        (is - was >= 0.02).then(|| format!("{name} {} instead of {}", shown(*is), shown(was)))
    });
    let more: Vec<_> = more.collect();
    if more.is_empty() { String::new() } else { format!(" ({})", more.join(", ")) }
}

/// Keeps this program and all that it starts on one core. There one of them runs while the others wait, in the same
/// order each time.
fn share_a_core() -> rustix::io::Result<()> {
    let all = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|&core| all.is_set(core));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or(0));
    sched_setaffinity(None, &one)
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::SCRIPTS;

    fn totals(sends: f64) -> Totals {
        Totals {
            counts: [(Count::SystemCalls, sends + 2.0)].into(),
            calls: [("sendto".to_owned(), sends)].into(),
        }
    }

    fn page(title: &str) -> Page {
        let row = Row { title: title.to_owned(), unit: "message".to_owned(), totals: totals(1.0) };
        Page { rows: vec![row], ..Page::default() }
    }

    fn compare(sends: f64, title: &str) -> Differences {
        super::compare(&SCRIPTS[0], Tool::Strace, &totals(sends), &page(title), &Page::default())
    }

    #[test]
    fn what_has_grown_is_named_with_what_it_was() {
        let Differences { more, less } = compare(2.0, SCRIPTS[0].title);
        assert_eq!(less, [""; 0]);
        assert_eq!(
            more,
            ["echo of 64 bytes, one at a time: system calls for each message: 4.00 instead of 3.00 \
              (sendto 2.00 instead of 1.00)"]
        );
    }

    #[test]
    fn what_has_become_less_is_no_failure() {
        let Differences { more, less } = compare(0.5, SCRIPTS[0].title);
        assert_eq!((more.len(), less.len()), (0, 1));
        let Differences { more, less } = compare(1.0, SCRIPTS[0].title);
        assert_eq!((more.len(), less.len()), (0, 0));
    }

    #[test]
    fn a_script_that_the_page_does_not_have_fails() {
        assert_eq!(compare(1.0, "something else").more.len(), 1);
    }
}

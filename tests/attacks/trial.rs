use std::{fs, path::Path, thread};

use rustix::process::nice;
use stateroom_tests::more_files;

use crate::{
    attack::Attack,
    binary,
    machine::describe,
    memory_group::MemoryGroup,
    options::Options,
    page::{Page, Row},
    scale::Scale,
    server::Server,
    stage::{Seen, Stage},
    verdict::Verdict,
};

/// The maximum number of attempts for an attack. What another program has delayed once is not delayed each time.
const TRIES: usize = 3;
/// The niceness of the attackers' threads on a machine with few cores.
const NICE: i32 = 10;

/// Makes the attacks, and writes what came of them.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("this package is in a workspace")?;
    let place = root.join("target/tmp/attacks");
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let files = more_files();
    let (program, kind) = binary::find(options, root)?;
    let group = MemoryGroup::make();
    let about = describe(&program, &kind, root, group.as_ref(), files)?;
    about.iter().for_each(|line| println!("{line}"));
    let mut page = Page { about, rows: Vec::new() };
    if options.scale == Scale::Short {
        println!(
            "each attack is a quarter of what its title says, against {} MiB",
            Scale::Short.memory() >> 20
        );
    }
    println!("{}", Row::head());
    for attack in options.attacks() {
        let trial = Trial { attack, options, program: &program, files, group: group.as_ref().ok() };
        let row = trial.row(&place).map_err(|error| format!("{}, {}: {error}", attack.row, attack.title))?;
        println!("{}", row.line());
        page.rows.push(row);
    }
    if options.is_writing {
        let name = if options.is_static { "robustness-static.md" } else { "robustness.md" };
        fs::write(root.join("docs").join(name), page.text()).map_err(|error| error.to_string())?;
    }
    match page.rows.iter().filter(|row| !row.verdict.holds()).count() {
        0 => Ok(()),
        count => Err(format!("in {count} of {} attacks a promise is broken", page.rows.len())),
    }
}

/// An attack on a server of its own.
#[derive(Debug)]
struct Trial<'a> {
    attack: &'static Attack,
    options: &'a Options,
    program: &'a Path,
    files: usize,
    group: Option<&'a MemoryGroup>,
}

impl Trial<'_> {
    /// Makes the attack, and makes it again where the innocent client has had to wait and nothing else is broken.
    fn row(&self, place: &Path) -> Result<Row, String> {
        let mut best: Option<Row> = None;
        for _ in 0..TRIES {
            let seen = self.make(place)?;
            let verdict = Verdict::of(&seen, self.options.scale);
            let is_enough = !verdict.is_only_late();
            let later = |seen: &Seen| seen.innocent[1].p99.saturating_sub(seen.innocent[0].p99);
            if is_enough || best.as_ref().is_none_or(|best| later(&seen) < later(&best.seen)) {
                best = Some(Row { attack: self.attack, seen, verdict });
            }
            if is_enough {
                break;
            }
        }
        best.ok_or_else(|| "it was not made".to_owned())
    }

    fn make(&self, place: &Path) -> Result<Seen, String> {
        let Self { attack, options, program, files, group } = *self;
        let scale = options.scale;
        let dist = attack.guest.dist(place)?;
        let mut arguments: Vec<_> = ["serve", "--ip", "127.0.0.1", "--port", "0", "--threads", "1"]
            .into_iter()
            .chain(["--admin", "127.0.0.1:0", "--measure-passes"])
            .map(str::to_owned)
            .collect();
        arguments.push(dist.display().to_string());
        arguments.extend(["--max-total-memory".to_owned(), format!("{}MiB", scale.memory() >> 20)]);
        let settings = (attack.settings)(scale, files);
        let has_generated_ids = settings.iter().any(|setting| setting == "generated");
        arguments.extend(settings);
        let server = Server::start(program, &arguments, attack.files, group, attack.reader)?;
        let mut stage = Stage::new(server, scale, files, has_generated_ids)?;
        // Not the innocent client's thread, which has begun already.
        thread::scope(|scope| {
            let attackers = scope.spawn(|| {
                nice(NICE).map_err(|error| error.to_string())?;
                // A server that has gone is a result as well.
                if let Err(why) = (attack.make)(&mut stage) {
                    stage.broke(why);
                }
                stage.look()
            });
            attackers.join().unwrap_or_else(|_| Err("the attackers have panicked".to_owned()))
        })?;
        Ok(stage.seen)
    }
}

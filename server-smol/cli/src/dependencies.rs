use std::{env, fs, path::Path, process::Stdio};

use anyhow::Result;
use log::Level;

use super::{
    config::Target,
    linker::Memory,
    package::{self, Package},
    toml_file::FILE,
};

/// The SDK's name as a package.
const SDK: &str = "stateroom-sdk-core";

/// The crates that need a system, or a browser, and the thing that they take from it. For the target
/// `wasm32-unknown-unknown` they do not build, or make a module that only a page can run.
const FOREIGN: [(&str, &str); 3] = [
    ("getrandom", RANDOM),
    ("wasm-bindgen", "calls JavaScript"),
    // It does not depend on `getrandom` for this target, and refuses to build.
    ("uuid", RANDOM),
];

const RANDOM: &str = "takes random numbers from the system";

/// The packages that cargo will compile into a guest, first the guest's own.
#[derive(Debug)]
pub(crate) struct Dependencies(Vec<Dependency>);

#[derive(Debug)]
struct Dependency {
    /// The number of packages on the way from the guest to it.
    depth: usize,
    name: String,
    features: Vec<String>,
}

impl Dependency {
    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|name| name == feature)
    }

    /// Returns true if it takes random numbers, for example with `v4`, and was not told from where.
    fn is_uuid_without_source(&self) -> bool {
        self.has("rng") && !["js", "rng-getrandom", "rng-rand"].iter().any(|source| self.has(source))
    }
}

impl Dependencies {
    /// Asks cargo.
    pub(crate) fn of(directory: &Path, package: &Package, target: Target) -> Result<Self> {
        // `cargo metadata` would unite the features of the whole workspace; the tree is of this package
        // alone, as the build is. Procedural macros run on this machine, and their features say
        // nothing about the guest.
        let mut tree = package::cargo(directory);
        tree.args(["tree", "--package", &package.id, "--target", target.name()])
            .args(["--edges=normal,no-proc-macro", "--prefix=depth", "--format={p}\t{f}"])
            // It may have to fetch dependencies, and that should be seen.
            .stderr(Stdio::inherit());
        if !log::log_enabled!(Level::Info) {
            tree.arg("--quiet");
        }
        let tree = package::output(tree, "cargo")?;
        Ok(Self::from_tree(&String::from_utf8_lossy(&tree)))
    }

    /// Each line is the depth, then at once `name version (where)`, a tab, and the features with commas
    /// between them.
    pub(super) fn from_tree(tree: &str) -> Self {
        let dependency = |line: &str| {
            let (package, features) = line.split_once('\t')?;
            let name = package.split(' ').next()?.trim_start_matches(|digit: char| digit.is_ascii_digit());
            // A package that was listed before is marked with ` (*)`.
            let features = features.trim_end_matches(" (*)").split(',');
            Some(Dependency {
                depth: package[..package.find(name)?].parse().ok()?,
                name: name.to_owned(),
                features: features.filter(|feature| !feature.is_empty()).map(str::to_owned).collect(),
            })
        };
        Self(tree.lines().filter_map(dependency).collect())
    }

    /// Returns the way in which the guest allocates memory.
    pub(crate) fn memory(&self) -> Memory {
        let memory = |sdk: &Dependency| {
            if sdk.has("std") || sdk.has("heap") && !sdk.has("alloc") {
                Memory::Std
            } else if sdk.has("alloc") {
                Memory::Heap
            } else {
                Memory::Static
            }
        };
        // Several versions of it: the most demanding one decides.
        self.0.iter().filter(|package| package.name == SDK).map(memory).max().unwrap_or(Memory::Std)
    }

    /// Returns true if the SDK has this feature.
    pub(crate) fn sdk_has(&self, feature: &str) -> bool {
        self.0.iter().any(|package| package.name == SDK && package.has(feature))
    }

    /// Returns what is wrong if the guest depends on a crate that does not work for `target`, with its mend.
    pub(crate) fn problem(&self, directory: &Path, target: Target) -> Option<String> {
        if target != Target::Unknown {
            return None;
        }
        FOREIGN.into_iter().find_map(|(name, takes)| {
            let is_it = |package: &Dependency| {
                package.name == name && (name != "uuid" || package.is_uuid_without_source())
            };
            let index = self.0.iter().position(is_it)?;
            if name == "getrandom" && has_own_random_numbers(directory) {
                return None;
            }
            Some(format!(
                "{} {takes}, which the target {} does not have: {}",
                self.way_to(index),
                target.name(),
                mend(self.memory(), directory),
            ))
        })
    }

    /// Names a package, and those that bring it.
    fn way_to(&self, index: usize) -> String {
        let mut way = format!("`{}`", self.0[index].name);
        let mut depth = self.0[index].depth;
        for package in self.0[..index].iter().rev() {
            // The guest itself has the depth 0.
            if package.depth < depth && package.depth > 0 {
                way = format!("`{}` → {way}", package.name);
                depth = package.depth;
            }
        }
        way
    }
}

/// Returns the words on how a guest can have a system.
pub(crate) fn mend(memory: Memory, directory: &Path) -> String {
    let file = directory.join(FILE);
    let std = match memory {
        Memory::Std => "",
        _ => "enable the feature `std` of stateroom-sdk-core, and ",
    };
    format!(
        "{std}write `target = \"{}\"` under `[service]` in `{}`; or do without it (a guest has random bytes from `ctx.random` and the time from `ctx.now_ms`)",
        Target::Wasip1.name(),
        file.display(),
    )
}

/// Returns true if the compiler is told of a function of the guest's own that `getrandom` is to call.
fn has_own_random_numbers(directory: &Path) -> bool {
    const SETTING: &str = "getrandom_backend";
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let files = directory.ancestors().map(|place| place.join(".cargo/config.toml"));
    env::vars_os().any(|(_, value)| value.to_string_lossy().contains(SETTING))
        || files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| text.contains(SETTING))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(lines: &str) -> Memory {
        Dependencies::from_tree(&format!("0echo v0.1.0 (/e)\t\n{lines}")).memory()
    }

    #[test]
    fn memory_follows_the_features_of_the_sdk() {
        assert_eq!(
            memory("1stateroom-sdk-core v0.1.0 (/s)\t\n2heapless v0.9.3\tembedded-io-v0.7\n"),
            Memory::Static
        );
        assert_eq!(memory("1stateroom-sdk-core v0.1.0\talloc,heap\n"), Memory::Heap);
        assert_eq!(memory("1stateroom-sdk-core v0.1.0\theap\n"), Memory::Std);
        assert_eq!(memory("1stateroom-sdk-core v0.1.0\talloc,default,std\n"), Memory::Std);
        assert_eq!(memory("1a v1.0.0\tstd\n12stateroom-sdk-core v0.1.0\talloc (*)\n"), Memory::Heap);
        assert_eq!(
            memory("1stateroom-sdk-core v0.1.0\t\n1stateroom-sdk-core v0.2.0\tstd (*)\n"),
            Memory::Std
        );
    }

    #[test]
    fn guests_of_other_sdks_are_left_with_usual_pages() {
        assert_eq!(memory("1stateroom-wasm v0.2.9\t\n"), Memory::Std);
        assert_eq!(memory("1stateroom-sdk-core-fork v0.1.0\t\n"), Memory::Std);
        assert_eq!(Dependencies::from_tree("").memory(), Memory::Std);
    }

    #[test]
    fn a_crate_that_needs_a_system_is_told_with_those_that_bring_it() {
        let tree = "0dice v0.1.0 (/d)\t\n1serde v1.0.0\tstd\n1rand v0.9.0\t\n2rand_core v0.9.0\t\n\
                    3getrandom v0.3.0\t\n1stateroom-sdk-core v0.1.0\tstd\n";
        let problem = |tree: &str, target| Dependencies::from_tree(tree).problem(Path::new("p"), target);
        let told = problem(tree, Target::Unknown).unwrap();
        assert!(told.starts_with("`rand` → `rand_core` → `getrandom` takes random numbers"), "{told}");
        assert!(
            told.contains("write `target = \"wasm32-wasip1\"` under `[service]` in `p/stateroom.toml`"),
            "{told}"
        );
        assert!(!told.contains("feature"), "{told}");
        assert_eq!(problem(tree, Target::Wasip1), None);

        let told = problem(&tree.replace("std\n", "alloc\n"), Target::Unknown).unwrap();
        assert!(told.contains("enable the feature `std` of stateroom-sdk-core, and write"), "{told}");
        let told = problem(&tree.replace("getrandom", "wasm-bindgen"), Target::Unknown).unwrap();
        assert!(told.contains("`wasm-bindgen` calls JavaScript"), "{told}");
        assert_eq!(problem(&tree.replace("getrandom", "getrandoms"), Target::Unknown), None);
    }

    #[test]
    fn ids_that_are_random_need_to_be_told_from_where() {
        let problem = |features: &str, target| {
            let tree =
                format!("0ids v0.1.0 (/d)\t\n1uuid v1.29.3\t{features}\n1stateroom-sdk-core v0.1.0\tstd\n");
            Dependencies::from_tree(&tree).problem(Path::new("p"), target)
        };
        let told = problem("default,rng,std,v4", Target::Unknown).unwrap();
        assert!(told.starts_with("`uuid` takes random numbers from the system"), "{told}");
        assert_eq!(problem("default,rng,std,v4", Target::Wasip1), None);
        for without in ["default,std", "default,md5,std,v3", "rng,rng-rand,v4"] {
            assert_eq!(problem(without, Target::Unknown), None, "{without}");
        }
    }

    #[test]
    fn features_of_the_sdk_are_known() {
        let tree = "0a v0.1.0 (/a)\t\n1serde v1.0.0\tjson\n1stateroom-sdk-core v0.1.0\tpostcard,std\n";
        let dependencies = Dependencies::from_tree(tree);
        assert_eq!(["json", "postcard"].map(|feature| dependencies.sdk_has(feature)), [false, true]);
    }
}

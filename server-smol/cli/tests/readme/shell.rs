/// The differences from an author's shell. The `stateroom` command is the one under test, on a port of its own. Cargo
/// does not optimise what is known to work without. `$exec` is `exec` if a command is going to be stopped.
pub(crate) const SHELL: &str = r#"
set -e
stateroom() {
  case "$1" in
    dev | serve) $exec "$STATEROOM" "$@" --port "$PORT" ;;
    *) "$STATEROOM" "$@" ;;
  esac
}
cargo() {
  case "$*" in
    "install --locked --path "*) grep -qx 'name = "stateroom"' "$4/Cargo.toml" ;;
    "build --release "*) shift 2; "$CARGO" check "$@" ;;
    "build --profile small "*) shift 3; "$CARGO" check "$@" ;;
    test | "test --test module") "$CARGO" "$@" ;;
    run) $exec "$CARGO" run --config 'profile.dev.debug="line-tables-only"' ;;
    *) echo "this is unknown to the test: cargo $*"; return 1 ;;
  esac
}
./dev() { stateroom dev "$@"; } # Without building it.
./test() { :; } # That is how this test is run.
rustup() {
  # For machines without a network. A check does not need the target's linker, but it needs its library.
  test "$1 $2" = "target add" && { test -d "$(rustc --print=target-libdir --target "$3")" || command rustup "$@"; }
}
curl() { command curl --silent --show-error --fail "$@"; }
"#;

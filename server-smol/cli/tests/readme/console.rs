/// A browser's console: runs each argument as a script, and waits for the WebSocket in between, as a person would. Ends when the lines in
/// `EXPECTED` have been printed.
pub(crate) const CONSOLE: &str = r#"
const vm = require('node:vm');
let missing = process.env.EXPECTED.split('\n');
const log = console.log;
console.log = (line) => {
  log(line);
  if (line === missing[0]) missing.shift();
  if (missing.length === 0) process.exit(0);
};
globalThis.console = console;
const late = () => { log(`this is still missing: ${missing[0]}`); process.exit(1); };
setTimeout(late, 20_000);
(async () => {
  for (const script of process.argv.slice(1)) {
    vm.runInThisContext(script);
    const ws = vm.runInThisContext('ws');
    if (ws.readyState === WebSocket.CONNECTING) {
      await new Promise((resolve) => ws.addEventListener('open', resolve));
    }
  }
})();
"#;

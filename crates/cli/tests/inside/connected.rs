//! What the plugin costs while it is connected, how long it waits, and with whom it talks, in the runtime that is inside
//! OpenCode and with an engine that a test stands in for.

use crate::house::House;
use crate::plugin::probed;
use serde_json::{Value, json};

/// An engine in the place of ours, and what the plugin asks of its surroundings.
const ENGINE: &str = r#"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
import { heapStats } from "bun:jsc"
const { AGAIN, folder, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const at = path.join(safe(folder()), "service.sock")
const here = new Set()
const heard = []
// Gives a guest its answer to each line; it may be none.
const stands = async (answers) => {
  const engine = net.createServer((guest) => {
    here.add(guest)
    guest.on("close", () => here.delete(guest))
    guest.on("data", (data) => {
      for (const line of `${data}`.trim().split("\n")) {
        const said = JSON.parse(line)
        heard.push(said)
        const answer = answers(said)
        if (answer) guest.write(JSON.stringify(answer) + "\n")
      }
    })
  })
  await new Promise((go) => engine.listen(at, go))
  return engine
}
const welcome = { talk: 1, version: "1" }
const done = (said) => (said.talk ? welcome : { id: said.id, say: "done", variant: "info" })
const until = async (is) => {
  while (!is()) await new Promise((go) => setImmediate(go))
}
const user = (directory, client = {}) => ({ client, directory })
const types = (hooks, command) => hooks["command.execute.before"]({ command, sessionID: "s" }, { parts: [] }).catch((error) => error.message)
const link = () => globalThis[Symbol.for("opencode-orchestrator.link")]
const says = (told) => (console.log(JSON.stringify(told)), process.exit())
"#;

async fn found(house: &House, script: &str) -> Value {
    let said = probed(house, &[ENGINE, script].concat()).await;
    serde_json::from_str(said.trim()).unwrap()
}

/// Knows which timers are still to fire, each of which comes so many times as soon as it was set to.
const TIMERS: &str = r#"
let sooner = 1
const pending = new Set()
for (const [set, clear] of [["setTimeout", "clearTimeout"], ["setInterval", "clearInterval"]]) {
  const [real, stop] = [globalThis[set], globalThis[clear]]
  globalThis[set] = (does, ms, ...given) => {
    const timer = real((...all) => (pending.delete(timer), does(...all)), ms / sooner, ...given)
    pending.add(timer)
    return timer
  }
  globalThis[clear] = (timer) => (pending.delete(timer), stop(timer))
}
// Nothing is due and nobody says anything, so that nothing can happen; a few turns of the loop would show what is.
const rests = async () => {
  for (let n = 0; n < 1_000; n++) await new Promise((go) => setImmediate(go))
}
// Milliseconds of the processor's time: what else the machine does is not in them.
const spent = (since) => Object.values(process.cpuUsage(since)).reduce((a, b) => a + b) / 1_000
"#;

/// Types a command of ours a thousand times, and looks at what is left to happen.
const IDLE: &str = r#"
await stands(done)
const plugin = (await import(process.argv[2])).default
const config = { fetch: async () => new Response(""), baseUrl: "http://x", headers: {} }
const client = { tui: { showToast: async () => {} }, _client: { getConfig: () => config } }
const before_all = process.cpuUsage()
const hooks = await plugin.server(user(process.cwd(), client), {})
await hooks.config({})
const init = spent(before_all)
const told = []
const many = async (n) => {
  for (let i = 0; i < n; i++) told[0] = await types(hooks, "status")
}
const heap = () => (Bun.gc(true), heapStats())
await many(500)
heard.length = 0
const before = heap()
await many(1_000)
told.push(heard.length)
heard.length = 0
const after = heap()
told.push( link().talk.asked.size, pending.size, here.size)
await rests()
told.push(heard.length, after.objectCount - before.objectCount, after.heapSize - before.heapSize, init)
says(told)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_connected_does_nothing_unasked_and_keeps_nothing_of_a_command() {
    let house = House::new().await;
    let found = found(&house, &[TIMERS, IDLE].concat()).await;
    println!("{found}");
    let counts = &found.as_array().unwrap()[..6];
    let said = json!("orchestrator: done");
    // The last answer; what was asked, what of it is open, timers, connections, and what was said afterwards.
    let expected = [said, json!(1_000), json!(0), json!(0), json!(1), json!(0)];
    assert_eq!(counts, expected);
    // A thousand calls that left one object each would show as a thousand.
    assert!(found[6].as_i64().unwrap() < 800, "{found}");
    assert!(found[7].as_i64().unwrap() < 512 * 1024, "{found}");
    // With an engine that runs, too, and with the bridge to it.
    assert!(found[8].as_f64().unwrap() <= 20.0, "{found}");
}

/// Loads what draws on OpenCode's screen, with as much of a screen as it asks for: without an engine, with one that has
/// something to show once, and when that is gone.
const SCREEN: &str = r#"
import os from "node:os"
const home = fs.mkdtempSync(path.join(os.tmpdir(), "screen-"))
process.on("exit", () => fs.rmSync(home, { recursive: true }))
const brings = (name, text) => {
  const to = path.join(home, "node_modules", name)
  fs.mkdirSync(to, { recursive: true })
  fs.writeFileSync(path.join(to, "package.json"), JSON.stringify({ name, type: "module", main: "index.js" }))
  fs.writeFileSync(path.join(to, "index.js"), text)
}
brings("@opentui/solid", "const none = () => ({})\nexport { none as createComponent, none as createElement, none as insert, none as spread, none as useTerminalDimensions }\n")
brings("solid-js", "export const createEffect = (does) => does()\nexport const onCleanup = () => {}\nexport const createSignal = (it) => [() => it, (next) => (it = next)]\n")
const own = path.dirname(process.argv[2])
for (const name of fs.readdirSync(own)) if (/\.js(on)?$/.test(name)) fs.copyFileSync(path.join(own, name), path.join(home, name))
const { tui } = (await import(path.join(home, "tui.js"))).default
const over = new AbortController()
const off = () => () => {}
const api = {
  state: { path: { directory: process.cwd() } },
  theme: { current: {} },
  route: { current: { name: "home" }, register: off },
  ui: { toast: off },
  slots: { register: off },
  keymap: { registerLayer: off },
  event: { on: off },
  lifecycle: { signal: over.signal, onDispose: off },
}
const began = process.cpuUsage()
await tui(api)
const told = [spent(began)]
await rests()
told.push(pending.size, heard.length)
const view = { seen: "1", mission: "m1" }
const engine = await stands((said) => (said.talk ? welcome : said.seen === "" ? { id: said.id, view } : undefined))
const again = process.cpuUsage()
await tui(api)
told.push(spent(again))
await until(() => heard.length === 3)
await rests()
// It has said who it is and asked twice: for anything, and for anything else.
told.push(pending.size, heard.length)
sooner = 1_000
engine.close()
for (const guest of here) guest.destroy()
fs.rmSync(at, { force: true })
let n = 0
await until(() => (n = pending.size ? 0 : n + 1) > 1_000)
told.push(pending.size, heard.length)
says(told)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_asks_once_and_waits_and_gives_up_when_its_engine_is_gone() {
    let house = House::new().await;
    let found = found(&house, &[TIMERS, SCREEN].concat()).await;
    println!("{found}");
    let found = found.as_array().unwrap();
    for init in [&found[0], &found[3]] {
        assert!(init.as_f64().unwrap() <= 20.0, "{found:?}");
    }
    // Timers and messages: without an engine, with one that has nothing more to show, and when it is gone.
    assert_eq!(found[1..3], [json!(0), json!(0)]);
    assert_eq!(found[4..], [json!(0), json!(3), json!(0), json!(3)]);
}

/// Loads the plugin in two folders at once, from two copies of its file, and types in both.
const FOLDERS: &str = r#"
await stands(done)
const [one, other] = [(await import(process.argv[2])).default, (await import(`${process.argv[2]}?again`)).default]
const hooks = await Promise.all([one.server(user("/a"), {}), other.server(user("/b"), {})])
for (const each of hooks) await each.config({})
const told = await Promise.all(hooks.map((each) => types(each, "status")))
// Both have looked for an engine at the same time; the one that was later gives its connection up.
await until(() => here.size === 1)
told.push(heard.filter((said) => said.want).map((said) => said.directory))
await Promise.all(hooks.map((each) => types(each, "status")))
told.push(here.size)
await hooks[0].dispose()
told.push(here.size, await types(hooks[1], "status"))
await hooks[1].dispose()
await until(() => here.size === 0)
says([...told, one === other])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_process_has_one_connection_however_many_folders_it_works_in() {
    let house = House::new().await;
    let done = "orchestrator: done";
    let folders = ["/a", "/b"];
    let expected = json!([done, done, folders, 1, 1, done, false]);
    assert_eq!(found(&house, FOLDERS).await, expected);
}

/// Types where an engine lets nobody in, by a clock that runs twenty times as fast, and then where it lets them in and says
/// nothing more: whoever is to be let in must not be hurried by that clock.
const SILENT: &str = r#"
let lets = false
await stands((said) => lets && said.talk && welcome)
const real = globalThis.setTimeout
const waits = new Set()
globalThis.setTimeout = (does, ms, ...given) => (waits.add(ms), real(does, lets ? ms : ms / 20, ...given))
const plugin = (await import(process.argv[2])).default
const hooks = await plugin.server(user(process.cwd()), {})
await hooks.config({})
const told = [await types(hooks, "status")]
lets = true
told.push(await types(hooks, "status"))
// Between two looks for an engine it rests, and nobody waits for that.
says([told, heard.filter((said) => said.want === "command").length, [...waits].filter((ms) => ms === 1_000 || !AGAIN.includes(ms))])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_says_nothing_is_waited_for_a_second() {
    let house = House::new().await;
    let said = "orchestrator: the engine does not answer; `orchestrator";
    let never_let_in = format!("{said} list` tells what it has begun");
    let never_answered = format!("{said} status` tells what it does");
    // Only who was let in has said what is wanted.
    let expected = json!([[never_let_in, never_answered], 1, [1_000]]);
    assert_eq!(found(&house, SILENT).await, expected);
    let text = std::fs::read_to_string(house.plugin().join("server.js")).unwrap();
    assert!(text.contains("const START = 15_000 "), "fifteen to start");
}

/// Types where an older engine runs that has nothing to do, and makes place.
const OLDER: &str = r#"
await stands(() => {
  // Whoever comes after the second guest finds nobody, as where it has ended.
  if (heard.length === 2) fs.rmSync(at)
  return { refused: "this engine is older", leaving: true }
})
const plugin = (await import(process.argv[2])).default
const hooks = await plugin.server(user(process.cwd()), {})
await hooks.config({})
// The first guest only looks whether somebody is there, and starts nobody.
await until(() => heard.length === 1 && here.size === 0)
says([await types(hooks, "status"), heard.length])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_older_engine_that_makes_place_is_followed_by_ours() {
    let house = House::new().await;
    let found = found(&house, OLDER).await;
    let said = "orchestrator: there is no mission here yet: /task Add a health check";
    assert_eq!(found, json!([said, 2]));
    assert!(house.service().is_some(), "ours runs");
    house.ends().await;
}

//! What the plugin costs while nothing is asked of it, counted in the runtime that is inside OpenCode.

use crate::house::{House, within};
use std::fs;
use testkit::opencode;

/// Loads the plugin with a host that counts what it does.
const PROBE: &str = r#"
import net from "node:net"
import { heapStats } from "bun:jsc"
const timers = []
for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
  const real = globalThis[name]
  globalThis[name] = (...given) => (timers.push(name), real(...given))
}
let sockets = 0
const connect = net.connect
net.connect = (...given) => (sockets++, connect(...given))
let calls = 0
const client = { tui: { showToast: async () => calls++ }, _client: { getConfig: () => ({ fetch: async () => (calls++, new Response("")), baseUrl: "http://x", headers: {} }) } }
const input = { client, directory: process.cwd(), worktree: process.cwd() }
const began = performance.now()
const plugin = (await import(process.argv[2])).default
const before = performance.now()
const hooks = await plugin.server(input, {})
const config = {}
await hooks.config(config)
const first = performance.now() - before
const inits = []
const load = before - began
for (let n = 0; n < 50; n++) {
  const before = performance.now()
  const again = await plugin.server({ ...input, directory: `/w${n}` }, {})
  await again.config({})
  inits.push(performance.now() - before)
}
await plugin.setup({ agent: {}, command: {} })
await plugin.setup(undefined)
const heap = () => (Bun.gc(true), heapStats())
const turn = async (n) => {
  const output = { parts: [{ type: "text", text: "x" }] }
  await hooks["command.execute.before"]({ command: "mine", sessionID: "s", arguments: `${n}` }, output)
  await hooks.config(config)
  if (output.parts.length !== 1) throw new Error("it changed a command that is not ours")
}
for (let n = 0; n < 2000; n++) await turn(n)
const heapBefore = heap()
for (let n = 0; n < 10000; n++) await turn(n)
const heapAfter = heap()
const grown = heapAfter.heapSize - heapBefore.heapSize
const objects = heapAfter.objectCount - heapBefore.objectCount
await hooks.dispose()
console.log(JSON.stringify({ load, first, init: inits.sort((a, b) => a - b)[25], objects, timers, sockets, calls, grown, commands: Object.keys(config.command) }))
"#;

/// What a script says that OpenCode's own runtime runs beside the plugin.
pub(crate) async fn probed(house: &House, script: &str) -> String {
    let probe = house.user.home().path().join("probe.mjs");
    fs::write(&probe, script).unwrap();
    let mut command = house.opencode();
    command
        .arg(&probe)
        .arg(house.plugin().join("server.js"))
        .env("BUN_BE_BUN", "1");
    let output = within("the end of the probe", command.output());
    let output = output.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let faults = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{faults}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_plugin_does_nothing_and_keeps_nothing() {
    let house = House::new().await;
    let said = probed(&house, PROBE).await;
    println!("{} {said}", opencode::VERSION);
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(found["timers"], serde_json::json!([]));
    assert_eq!((&found["sockets"], &found["calls"]), (&0.into(), &0.into()));
    // Ten thousand calls that left one object each would show as ten thousand.
    assert!(found["objects"].as_i64().unwrap() < 2_000, "{said}");
    assert!(found["grown"].as_i64().unwrap() < 128 * 1024, "{said}");
    // The first one of a process, which waits for nothing but itself, and one more beside it.
    assert!(found["first"].as_f64().unwrap() <= 20.0, "{said}");
    assert!(found["init"].as_f64().unwrap() <= 20.0, "{said}");
    assert_eq!(
        found["commands"],
        serde_json::json!([
            "task", "queue", "steer", "retry", "skip", "pause", "resume", "stop", "status",
            "answer"
        ])
    );
    assert!(!house.sockets().exists(), "it makes no folder either");
}

/// Lets a user's folder and a workspace go, one after the other, with a bridge that counts how often it is closed.
const LAST: &str = r#"
import net from "node:net"
import path from "node:path"
let sockets = 0
const connect = net.connect
net.connect = (...given) => (sockets++, connect(...given))
const plugin = (await import(process.argv[2])).default
const { folder } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const lane = path.join(path.dirname(folder()), "missions", "m1", "lane")
const inside = await plugin.server({ client: {}, directory: lane }, {})
const users = await plugin.server({ client: {}, directory: process.cwd() }, {})
const link = globalThis[Symbol.for("opencode-orchestrator.link")]
let closed = 0
link.bridge = { path: path.join(process.cwd(), "no-socket"), server: { stop: () => closed++ } }
const told = [Object.keys(inside), sockets]
await users.dispose()
await users.dispose()
told.push(closed)
await inside.dispose()
told.push(closed)
console.log(JSON.stringify(told))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_stays_while_an_agent_works_in_a_workspace() {
    let house = House::new().await;
    let said = probed(&house, LAST).await;
    let expected = r#"[["config","shell.env","dispose"],0,0,1]"#;
    assert_eq!(said.trim(), expected);
}

/// Hands commands over to an engine that takes them, or not, and answers when its time is up, ends, or answers at last.
const LATE: &str = r#"
import net from "node:net"
import path from "node:path"
const { ask, connect, folder, order, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const told = []
// The engine's line that it has a command reaches whoever asked, and is no answer.
const engine = net.createServer((socket) => socket.on("data", (data) => {
  const said = JSON.parse(data)
  socket.write(JSON.stringify(said.talk ? { talk: 1, version: "1" } : { id: said.id, taken: true }) + "\n")
}))
await new Promise((go) => engine.listen(path.join(safe(folder()), "service.sock"), go))
const real = await connect(() => ({}), 60_000, () => {})
await new Promise((taken) => ask(real, { want: "command" }, taken).then(() => told.push("an answer")))
async function typed(does, then, longest) {
  const talk = { socket: { destroyed: false, write() {} }, asked: new Map(), n: 0 }
  const heard = Promise.withResolvers()
  const said = order(talk, {}, { most: 1, longest, late: heard.resolve }).catch((error) => ({ say: error.message }))
  const one = talk.asked.get(1)
  if (does === "takes") one.taken()
  if (longest) {
    // The timer of the first wait was set before this one, and fires before it.
    await new Promise((go) => setTimeout(go, 2))
    one.answer(then)
    return told.push((await said).say)
  }
  told.push((await said).say.split(";")[0])
  one.answer(then)
  told.push((await heard.promise).say.split(";")[0])
}
const done = { say: "done", variant: "info" }
await typed("takes", done)
await typed("takes", null)
await typed("is silent", done)
await typed("takes", done, 60_000)
console.log(JSON.stringify(told))
process.exit()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_is_at_for_longer_is_told_when_it_is_there() {
    let house = House::new().await;
    let said = probed(&house, LATE).await;
    let told: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let at_it = "the engine is at it";
    let expected = serde_json::json!([
        at_it,
        "done",
        at_it,
        "the engine ended before it answered",
        "the engine does not answer",
        "done",
        "done"
    ]);
    assert_eq!(told, expected);
}

/// Waits for an engine whose signs of life come, come late, or end, by timers that the test rings itself.
const ALIVE: &str = r#"
import path from "node:path"
const { alive } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
let beat
let n = 0
globalThis.setInterval = (f, ms) => ((beat = f), n++, ms)
globalThis.clearInterval = () => n--
const settle = () => new Promise((go) => setImmediate(go))
const told = []
async function waits(...beats) {
  const talk = { socket: { destroyed: false, write() {} }, asked: new Map(), n: 0 }
  const work = Promise.withResolvers()
  const said = alive(talk, work.promise).catch((error) => `${error.still} ${error.message.split(";")[0]}`)
  let over
  said.then((what) => (over = what))
  let rung = 0
  for (const answers of beats) {
    beat()
    rung++
    if (answers) for (const one of talk.asked.values()) one.answer({})
    await settle()
    if (over) break
  }
  work.resolve("done")
  told.push([await said, rung])
}
await waits(...Array(500).fill(true))
// Asked once, and then missed twelve times.
await waits(...Array(500).fill(false))
// One that comes at the last moment counts, and all begins anew.
await waits(...Array(11).fill(false), true, ...Array(11).fill(false), true)
console.log(JSON.stringify([told, n]))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_is_waited_for_while_it_gives_signs_of_life() {
    let house = House::new().await;
    let said = probed(&house, ALIVE).await;
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let still = "true the engine stands still";
    let expected = serde_json::json!([[["done", 500], [still, 13], ["done", 24]], 0]);
    assert_eq!(found, expected);
}

/// Reaches the bridge over an engine that is told where it is, and asks it for too much.
const BRIDGE: &str = r#"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
const { folder, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const held = []
const hosts = async (request) => {
  if (request.url.endsWith("/wait")) await new Promise((go) => held.push(go))
  return new Response(`${(await request.text()).length}`)
}
const client = { _client: { getConfig: () => ({ fetch: hosts, baseUrl: "http://x", headers: {} }) } }
const hellos = []
const engine = net.createServer((socket) => socket.on("data", (data) => {
  const said = JSON.parse(data)
  if (said.talk) hellos.push(said.bridge)
  socket.write(JSON.stringify(said.talk ? { talk: 1, version: "1" } : { id: said.id, say: "done", variant: "info" }) + "\n")
}))
await new Promise((go) => engine.listen(path.join(safe(folder()), "service.sock"), go))
const at = path.join(folder(), `oc-${process.pid}.sock`)
fs.writeFileSync(at, "kept")
const plugin = (await import(process.argv[2])).default
const hooks = await plugin.server({ client, directory: process.cwd() }, {})
await hooks.config({})
const typed = () => hooks["command.execute.before"]({ command: "status", sessionID: "s" }, { parts: [] }).catch((error) => error.message)
const told = [(await typed()).replace(at, "it"), fs.readFileSync(at, "utf8")]
fs.rmSync(at)
// A socket that a process before this one left behind.
const left = net.createServer()
await new Promise((go) => left.listen(`${at}.left`, go))
fs.renameSync(`${at}.left`, at)
left.close()
told.push(await typed(), hellos.at(-1) === at)
const mode = (of) => (fs.statSync(of).mode & 0o777).toString(8)
told.push(mode(at), mode(folder()))
const post = (where, length) => fetch(`http://x/${where}`, { unix: at, method: "POST", body: "x".repeat(length) })
told.push(await (await post("a", 1000)).text(), (await post("a", (16 << 20) + 1)).status)
const many = Array.from({ length: 64 }, () => post("wait", 1))
while (held.length < 64) await new Promise((go) => setImmediate(go))
told.push((await post("a", 1)).status)
for (const go of held) go()
told.push((await Promise.all(many)).every((one) => one.status === 200), (await post("a", 1)).status)
await hooks.dispose()
told.push(fs.existsSync(at))
console.log(JSON.stringify(told))
process.exit()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_is_the_users_alone_and_takes_so_much_at_once_and_no_more() {
    let house = House::new().await;
    let said = probed(&house, BRIDGE).await;
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let expected = serde_json::json!([
        "orchestrator: it is not a socket of yours",
        "kept",
        "orchestrator: done",
        true,
        "600",
        "700",
        "1000",
        413,
        503,
        true,
        200,
        false
    ]);
    assert_eq!(found, expected);
}

/// Takes the part of OpenCode 2, as its public documentation has it: a place for commands that are executed, a session,
/// tools, a folder.
const SECOND: &str = r#"
import net from "node:net"
import path from "node:path"
const { folder, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const asked = []
const engine = net.createServer((socket) => socket.on("data", (data) => {
  const said = JSON.parse(data)
  if (!said.talk) asked.push([said.command, said.arguments, said.session, said.directory])
  socket.write(JSON.stringify(said.talk ? { talk: 1, version: "1" } : { id: said.id, say: "it begins", variant: "info" }) + "\n")
}))
await new Promise((go) => engine.listen(path.join(safe(folder()), "service.sock"), go))
const plugin = (await import(process.argv[2])).default
const commands = new Map([["status", { name: "status", description: "the user's own" }]])
const draft = { get: (name) => commands.get(name), add: (command) => commands.set(command.name, command) }
const host = { options: {}, session: {}, tool: {}, location: { directory: "/p" }, command: { transform: async (change) => change(draft) } }
await plugin.setup(host)
const told = [[...commands.keys()], commands.get("status").description]
told.push(await commands.get("task").execute({ arguments: "Add a page", sessionID: "ses_1" }), asked)
engine.close()
globalThis[Symbol.for("opencode-orchestrator.link")].talk.socket.destroy()
told.push((await commands.get("task").execute({})).split(";")[0])
await plugin.setup({ ...host, command: { transform: async () => { throw new Error("no") } } })
await plugin.setup({ ...host, command: { transform: async (change) => change({}) } })
console.log(JSON.stringify(told))
process.exit()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_second_kind_gets_commands_that_are_executed() {
    let house = House::new().await;
    house.engine("/nowhere/orchestrator".as_ref());
    let said = probed(&house, SECOND).await;
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    let names = [
        "status", "task", "queue", "steer", "retry", "skip", "pause", "resume", "stop", "answer",
    ];
    let expected = serde_json::json!([
        names,
        "the user's own",
        "it begins",
        [["task", "Add a page", "ses_1", "/p"]],
        "there is no program /nowhere/orchestrator"
    ]);
    assert_eq!(found, expected);
}

/// Starts where an engine runs that answers its third guest and none before, by a clock that runs twenty times as fast.
const SILENT: &str = r#"
import net from "node:net"
import path from "node:path"
const { folder, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const real = globalThis.setTimeout
globalThis.setTimeout = (done, ms, ...given) => real(done, ms / 20, ...given)
let n = 0
const heard = Promise.withResolvers()
const engine = net.createServer((socket) => {
  const answers = ++n > 2
  socket.on("data", () => {
    if (!answers) return
    socket.write(JSON.stringify({ talk: 1, version: "1" }) + "\n")
    heard.resolve()
  })
})
await new Promise((go) => engine.listen(path.join(safe(folder()), "service.sock"), go))
const plugin = (await import(process.argv[2])).default
await plugin.server({ client: {}, directory: process.cwd() }, {})
await heard.promise
const link = globalThis[Symbol.for("opencode-orchestrator.link")]
while (!link.talk) await new Promise((go) => setImmediate(go))
console.log(n)
process.exit()
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_slow_to_answer_a_start_is_looked_for_again() {
    let house = House::new().await;
    // On a busy machine it may be slow once more.
    let n: u32 = probed(&house, SILENT).await.trim().parse().unwrap();
    assert!(n >= 3, "{n}");
}

/// Reads command lines of OpenCode for the command in them.
const STARTED: &str = r#"
import path from "node:path"
const { command } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const lines = JSON.parse(process.env.LINES)
console.log(JSON.stringify(lines.map((line) => command(line.split(" ").filter(Boolean).map((word) => (word === "''" ? "" : word))) ?? "")))
"#;

/// What OpenCode 1.18.33 makes of each of these lines was looked at with its `--help` and its complaints.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_told_from_whatever_else_says_run() {
    let lines = [
        ("", ""),
        ("run", "run"),
        ("run --agent serve", "run"),
        ("--print-logs run x", "run"),
        ("--print-logs true run", "run"),
        ("--print-logs=true run", "run"),
        ("--no-print-logs run", "run"),
        ("--log-level DEBUG run", "run"),
        ("--log-level=DEBUG --pure run", "run"),
        ("-m a/b run", "run"),
        ("-m '' run", "run"),
        ("--port -1 run", "run"),
        ("--agent run", ""),
        ("--prompt run", ""),
        ("-c run", ""),
        ("-- run", ""),
        ("--agent run serve", "serve"),
        ("project --prompt run", "project"),
    ];
    let house = House::new().await;
    let given: Vec<&str> = lines.iter().map(|(line, _)| *line).collect();
    let script = STARTED.replace(
        "process.env.LINES",
        &format!("{:?}", serde_json::json!(given).to_string()),
    );
    let found: Vec<String> = serde_json::from_str(probed(&house, &script).await.trim()).unwrap();
    let expected: Vec<&str> = lines.iter().map(|(_, command)| *command).collect();
    assert_eq!(found, expected);
}

/// A run that waits for its mission and is told that nobody does, in the place of a process that ends by it.
const LOST: &str = r#"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
const { folder, safe } = await import(path.join(path.dirname(process.argv[2]), "talk.js"))
const answers = { command: { say: "m1 begins", variant: "info", mission: "m1" }, wait: { say: "m1 is not over", variant: "error" } }
const engine = net.createServer((socket) => socket.on("data", (data) => {
  const said = JSON.parse(data)
  socket.write(JSON.stringify(said.talk ? { talk: 1, version: "1" } : { id: said.id, ...answers[said.want] }) + "\n")
}))
await new Promise((go) => engine.listen(path.join(safe(folder()), "service.sock"), go))
const at = process.argv[2]
process.argv = ["opencode", "opencode", "run"]
const plugin = (await import(at)).default
const hooks = await plugin.server({ client: {}, directory: process.cwd() }, {})
await hooks.config({})
const told = []
const write = fs.writeSync
fs.writeSync = (stream, text) => (told.push([stream, String(text)]), text.length)
const exit = process.exit
process.exit = (code) => {
  told.push(code)
  throw new Error("it ends")
}
await hooks["command.execute.before"]({ command: "task", sessionID: "s", arguments: "x" }, { parts: [] }).catch(() => {})
fs.writeSync = write
console.log(JSON.stringify(told))
exit(0)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_tells_an_end_of_its_mission_has_failed() {
    let house = House::new().await;
    let said = probed(&house, LOST).await;
    let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!(
        found,
        serde_json::json!([[2, "m1 begins\n"], [2, "m1 is not over\n"], 1])
    );
}

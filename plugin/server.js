// The OpenCode side of orchestrator. It hands what the user types to the engine, and puts OpenCode's own server on a
// private socket so that the engine can show what it does. Everything that decides is in the engine.
//
// OpenCode runs all hooks one after another without a time limit, and a hook that fails or hangs takes the user's
// prompt with it. So nothing is started before a command of ours is typed or an end of a mission is to be told, nothing
// waits without a limit (a run waits for its mission while the engine gives signs of life), and whatever goes wrong ends in
// a toast or, where there is none, in what a run prints.
import { randomUUID } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import { AGAIN, alive, ask, command, connect, current, folder, HAND_OVER, order, safe, start, within, workspace } from "./talk.js"

const START = 15_000 // from the start of the engine to its first answer: one before it may wind down for five seconds
const FOLLOWS = 8_000 // from the end of an engine that makes place until whoever misses the next one starts their own
const FOR_EVER = 2 ** 31 - 1 // the longest time that a timer can be set to
const BODY = 16 << 20 // the longest request that the bridge takes: a turn's brief is a hundredth of it
const AT_ONCE = 64 // requests of the engine that are not answered yet; each agent that is seen here has a few
const RESTARTS = 3 // an engine that dies under its missions is started again so often, and then left alone

// What the templates say matters only where the hook does not run: then the model is told not to pretend.
const left = (what) =>
  `The command that ${what} did not reach the orchestrator plugin. Do not do anything; only tell the user that the plugin is not active here and that \`orchestrator doctor\` says why. (Arguments: $ARGUMENTS)`
const COMMANDS = {
  task: { description: "Carry a request out as a mission: planned, worked on in parallel, verified", template: left("starts a mission") },
  queue: { description: "Carry a request out as soon as the mission that runs is over", template: left("queues a mission") },
  steer: { description: "Tell the mission's agents something more: /steer use argon2, /steer T2 use argon2", template: left("tells agents something") },
  retry: { description: "Have a task tried again: /retry T2 use argon2", template: left("has a task tried again") },
  skip: { description: "Leave a task out: /skip T2 it can wait", template: left("leaves a task out") },
  pause: { description: "Let no turn of the mission begin until /resume", template: left("pauses a mission") },
  resume: { description: "Let the mission of this project go on", template: left("resumes a mission") },
  stop: { description: "End the mission of this project; its work is kept", template: left("ends a mission") },
  status: { description: "Show the mission of this project", template: left("shows a mission") },
  answer: { description: "Answer a question of the mission: /answer q1 yes", template: left("answers a question of a mission") },
}

// One engine connection for each process, however many instances load this file.
const KEY = Symbol.for("opencode-orchestrator.link")
const link = (globalThis[KEY] ??= { instances: 0, restarts: 0, folders: new Set() })

// OpenCode's own server, on a socket that only this user reaches. Opened with the first connection.
function bridge(input) {
  if (link.bridge) return link.bridge.path
  const config = input.client?._client?.getConfig?.()
  if (typeof Bun === "undefined" || !config?.fetch) return null
  const at = path.join(safe(folder()), `oc-${process.pid}.sock`)
  const found = fs.lstatSync(at, { throwIfNoEntry: false })
  if (found && (!found.isSocket() || found.uid !== process.geteuid())) throw new Error(`${at} is not a socket of yours`)
  fs.rmSync(at, { force: true })
  const answer = (request) => {
    const url = new URL(request.url)
    const headers = new Headers(request.headers)
    const own = config.headers?.entries?.() ?? Object.entries(config.headers ?? {})
    for (const [name, value] of own) if (!headers.has(name)) headers.set(name, value)
    return config.fetch(new Request(config.baseUrl + url.pathname + url.search, { method: request.method, headers, body: request.body, duplex: "half" }))
  }
  let n = 0
  const server = Bun.serve({
    unix: at,
    idleTimeout: 0,
    maxRequestBodySize: BODY,
    async fetch(request) {
      if (n >= AT_ONCE) return new Response("too much is asked at once", { status: 503 })
      n++
      try {
        return await answer(request)
      } finally {
        n--
      }
    },
  })
  fs.chmodSync(at, 0o600)
  link.bridge = { path: at, server }
  return at
}

// The terminal view runs the server in a worker of its own process.
const screen = () => typeof Bun !== "undefined" && !Bun.isMainThread

// Ends a run here, with what it is told and by the exit code that this has. No model is asked: it would be told what to
// type by whoever is not there, and its provider's faults would be those of the mission.
function leaves(typed, say, code, failed = code !== 0) {
  const told = { type: "orchestrator", timestamp: Date.now(), sessionID: typed.sessionID, exit: code, text: say }
  tells(failed && !lines ? 2 : 1, lines ? `${JSON.stringify(told)}\n` : `${say}\n`)
  close()
  process.exit(code)
}

// Whoever does not read to the end still hears how it ended; one that is slow has ten seconds.
function tells(stream, text) {
  let rest = Buffer.from(text)
  for (let n = 0; rest.length && n < 1_000; ) {
    try {
      rest = rest.subarray(fs.writeSync(stream, rest))
    } catch (error) {
      if (error.code !== "EAGAIN") return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
      n++
    }
  }
}

// What OpenCode was started as; `run` has no view and nobody who could be asked in it, and nothing else to do than what it
// is given.
const STARTED = command(process.argv.slice(2))
const run = STARTED === "run"
// Whoever started it reads a line of JSON for each thing that is told.
const words = [...process.argv.slice(2), "--"]
const lines = words.slice(0, words.indexOf("--")).some((word, n, all) => word === "--format=json" || (word === "--format" && all[n + 1] === "json"))
const about = (input) => ({ bridge: bridge(input), directories: [...link.folders], path: process.env.PATH, screen: screen(), alone: run })
const join = async (input, most, more) => connect(() => ({ ...about(input), ...more }), most, (talk) => gone(input, talk))

function gone(input, talk) {
  if (talk.leaving) {
    link.follows = Date.now() + FOLLOWS
    // What ran there goes on in any case.
    const look = () => join(input, HAND_OVER).then((found) => (found ? found.socket.destroy() : reach(input)))
    setTimeout(() => link.instances && look().catch(() => {}), FOLLOWS).unref?.()
  }
  if (link.talk !== talk) return
  link.talk = undefined
  // An engine that ends when nothing runs is done; one that dies under its missions is started again, and takes them up.
  if (talk.running && link.restarts++ < RESTARTS && link.instances) reach(input).catch(() => {})
}

async function open(input, more) {
  let until = Date.now() + START
  let child
  let starts = false
  let again = false
  for (;;) {
    let talk = null
    try {
      talk = await join(input, child || more?.waits ? Math.max(1, until - Date.now()) : HAND_OVER, { ...more, starts })
    } catch (error) {
      // An older engine makes place for ours, once: at once where nothing runs, and else for whoever has one that is newer
      // indeed and takes that up.
      if (error.older && !child && !starts) {
        if (!(await current(link.options))) throw new Error(`${error.message}. The program that would be started is missing or of another version: orchestrator install`)
        starts = true
        continue
      }
      if (error.leaving && child) throw new Error("the program is of another version than this plugin: orchestrator install")
      if (!error.leaving) throw error
    }
    if (talk) return talk
    if (child?.told) throw new Error(child.told)
    // It found another one, which has gone since.
    if (child?.over && !again) (child = undefined), (again = true)
    if (Date.now() >= until) throw new Error("the engine does not start within 15 s; `orchestrator serve` tells why")
    // One that makes place for a newer one is followed by that.
    if (!child && Date.now() >= (link.follows ?? 0)) {
      toast(input, "the engine starts", "info")
      child = await start(link.options)
      until = Date.now() + START
    }
    await new Promise((go) => setTimeout(go, 25))
  }
}

// The connection that there is, or one that is made now. Whoever comes meanwhile waits for the same.
function reach(input) {
  if (link.talk) return Promise.resolve(link.talk)
  return (link.reaching ??= open(input)
    .then((talk) => ((link.talk = talk), here(), talk))
    .finally(() => (link.reaching = undefined)))
}

// An engine that runs already may have something to show here. One that does not answer in time, as where OpenCode's own
// start takes all that the machine has, is looked for again. Nothing is said of faults.
async function look(input) {
  for (const pause of AGAIN) {
    const found = await join(input, HAND_OVER).then(
      (talk) => ({ talk }),
      () => null,
    )
    if (found) return take(input, found.talk).catch(() => {})
    await new Promise((go) => setTimeout(go, pause).unref?.())
    if (link.talk || !link.instances) return
  }
}

async function take(input, talk) {
  if (talk && !link.talk && !link.reaching) link.talk = talk
  else talk?.socket.destroy()
  if (!talk && (await untold(input))) await reach(input)
  here()
}

// One connection serves all instances; it may have been made before some of them were there.
function here() {
  const { talk } = link
  for (const directory of talk ? link.folders : []) {
    if (talk.told.has(directory)) continue
    talk.told.add(directory)
    ask(talk, { want: "here", directory })
  }
}

// Whether a mission of this folder is over and its conversation was not told. Only then an engine is started that nobody
// has asked for, and only where a person may look: it tells that, and ends.
async function untold(input) {
  if (!screen() && !["serve", "web"].includes(STARTED)) return false
  const at = path.join(path.dirname(folder()), "fronts")
  for (const name of await fs.promises.readdir(at)) {
    const note = await fs.promises.readFile(path.join(at, name), "utf8").then(JSON.parse).catch(() => null)
    if (note?.ended === true && note.directory === input.directory) return true
  }
  return false
}

async function handOver(input, typed, longest) {
  const want = { want: "command", key: randomUUID(), command: typed.command, arguments: typed.arguments ?? "", session: typed.sessionID, directory: input.directory }
  const late = (said) => toast(input, said.say, said.variant)
  link.restarts = 0
  for (let n = 0; n < 2; n++) {
    const talk = await reach(input)
    // Nothing came back: it ended at that moment, or was killed. Under its key the request is carried out once.
    const said = await order(talk, want, { longest, late })
    if (said) return { ...said, talk }
    talk.socket.destroy()
    if (link.talk === talk) link.talk = undefined
  }
  throw new Error("the engine ended before it answered; `orchestrator list` tells what it began")
}

// What a mission came to that a run waits for, or why nobody says it. An engine that ends is followed by another, which
// takes the mission up.
async function outcome(input, talk, mission) {
  try {
    for (let n = 0; n <= RESTARTS; n++) {
      const said = await alive(talk, ask(talk, { want: "wait", mission }))
      // Without an exit code it says why nobody waits for the mission any more, and is no end of it.
      if (said) return said
      // An engine of another version that has taken it over tells just that.
      const waits = () => open(input, { waits: true })
      talk = talk.leaving ? await waits() : await reach(input).catch((error) => (error.refused ? waits() : Promise.reject(error)))
    }
    throw new Error(`the engine ended ${RESTARTS + 1} times`)
  } catch (error) {
    return { say: `${String(error?.message ?? error)}\n${mission} is not over. Once no engine carries it out, it goes on with: orchestrator resume ${mission}` }
  }
}

function toast(input, message, variant) {
  const shown = input.client?.tui?.showToast?.({ body: { title: "orchestrator", message, variant, duration: Math.min(10_000, Math.max(2_000, message.length * 60)) } })
  return within(HAND_OVER, Promise.resolve(shown), "").catch(() => {})
}

function close() {
  link.talk?.socket.destroy()
  link.talk = undefined
  link.bridge?.server.stop(true)
  if (link.bridge) fs.rmSync(link.bridge.path, { force: true })
  link.bridge = undefined
}

// An instance that lives, of the user's folders and of workspaces alike: what agents do in a workspace goes on while the
// user's folder is read anew, as after a login, and the engine must reach it. The last one closes what is open; called
// again it counts nothing.
function enter() {
  link.instances++
  let lives = true
  return async () => {
    try {
      if (!lives) return
      lives = false
      if (--link.instances > 0) return
      close()
    } catch {}
  }
}

// Lays one value over another and changes neither: parts of the configuration are shared by all instances.
const laid = (under, over) =>
  under && over && typeof under === "object" && typeof over === "object" && !Array.isArray(over)
    ? Object.entries(over).reduce((all, [key, value]) => ({ ...all, [key]: laid(all[key], value) }), { ...under })
    : over

// A workspace of the engine, where it lets agents work that are seen here: what it says of them, and nothing else of us.
const inside = (directory) => ({
  async config(config) {
    try {
      const own = Object.entries(config.agent ?? {}).filter(([name, agent]) => name.startsWith("orchestrator-") && typeof agent?.prompt === "string")
      const prompts = Object.fromEntries(own.map(([name, agent]) => [name, agent.prompt]))
      const want = { want: "agents", directory, mcp: Object.keys(config.mcp ?? {}), prompts }
      const said = link.talk && (await within(HAND_OVER, ask(link.talk, want), ""))
      for (const [key, value] of Object.entries(said?.config ?? {})) config[key] = laid(config[key], value)
    } catch {}
  },
  // A mission must not begin missions, by whatever its agents start.
  async "shell.env"(_, output) {
    try {
      output.env.ORCHESTRATOR_INSIDE = "1"
    } catch {}
  },
  dispose: enter(),
})

async function server(input, options) {
  // Inside the engine's own servers a mission must not begin missions.
  if (process.env.ORCHESTRATOR_INSIDE === "1") return {}
  if (workspace(input.directory)) return inside(input.directory)
  const dispose = enter()
  link.options ??= options
  link.folders.add(input.directory)
  here()
  if (!link.talk) look(input)
  const ours = new Set()
  // A run has nothing else to do than to hear what comes of it; of anything else the user sees nothing as long as it
  // waits.
  const longest = run ? FOR_EVER : HAND_OVER
  return {
    async config(config) {
      try {
        // A new one: the old one may be that of other instances as well.
        const all = { ...config.command }
        for (const [name, command] of Object.entries(COMMANDS)) {
          if (all[name] && all[name].template !== command.template) continue
          all[name] = { ...command }
          ours.add(name)
        }
        config.command = all
      } catch {}
    },
    async "command.execute.before"(typed) {
      if (!ours.has(typed.command)) return
      let said
      try {
        said = await handOver(input, typed, longest)
      } catch (error) {
        said = { say: String(error?.message ?? error), variant: "error" }
      }
      const begins = ["task", "queue"].includes(typed.command)
      if (run && begins && said.mission) {
        // It is the whole of what the run was for. The engine puts its report into the conversation.
        tells(2, `${said.say}\n`)
        const end = await outcome(input, said.talk, said.mission)
        leaves(typed, end.say, end.exit ?? 1, end.exit === undefined)
      }
      if (run) {
        // A run has no view for a toast and nothing else to do; going on, OpenCode would call it an error. A command that
        // begins missions and has begun none has failed, however friendly it says so.
        const failed = begins || ["error", "warning"].includes(said.variant)
        leaves(typed, said.say, failed ? 1 : 0)
      }
      await toast(input, said.say, said.variant)
      // No message is stored and no model is asked. The terminal view says nothing of it.
      throw Object.assign(new Error(`orchestrator: ${said.say}`), { orchestrator: true })
    },
    dispose,
  }
}

// OpenCode 2 calls this with commands that can be executed; 1.x calls it too, without them. Made after its public
// documentation, and not run against the real program.
async function setup(context) {
  if (process.env.ORCHESTRATOR_INSIDE === "1") return
  if (typeof context?.command?.transform !== "function" || !context.session || !context.tool) return
  link.options ??= context.options
  const input = { client: context.client, directory: context.location?.directory ?? process.cwd() }
  link.folders.add(input.directory)
  const add = (draft) => {
    for (const [name, { description }] of Object.entries(COMMANDS)) {
      if (draft.get?.(name) || typeof draft.add !== "function") continue
      const execute = async (typed) => {
        try {
          return (await handOver(input, { command: name, arguments: typed?.arguments, sessionID: typed?.sessionID ?? "" })).say
        } catch (error) {
          return String(error?.message ?? error)
        }
      }
      draft.add({ name, description, execute })
    }
  }
  try {
    await context.command.transform(add)
  } catch {}
}

export default { id: "opencode-orchestrator", server, setup }

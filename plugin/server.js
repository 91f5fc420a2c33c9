// The OpenCode side of orchestrator. It hands what the user types to the engine, and puts OpenCode's own server on a
// private socket so that the engine can show what it does. Everything that decides is in the engine.
//
// OpenCode runs all hooks one after another without a time limit, and a hook that fails or hangs takes the user's
// prompt with it. So nothing is started before a command of ours is typed, nothing waits without a limit, and whatever
// goes wrong ends in a toast.
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import fs from "node:fs"
import { createRequire } from "node:module"
import net from "node:net"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"

const TALK = 1
const HAND_OVER = 1_000 // from the command to the engine's answer, once it runs
const START = 10_000 // from the start of the engine to its first answer
const RESTARTS = 3 // an engine that dies under its missions is started again so often, and then left alone
const LINE = 1 << 20 // the longest line that the engine may send
const HERE = path.dirname(fileURLToPath(import.meta.url))

// What the templates say matters only where the hook does not run: then the model is told not to pretend.
const left = (what) =>
  `The command that ${what} did not reach the orchestrator plugin. Do not do anything; only tell the user that the plugin is not active here and that \`orchestrator doctor\` says why. (Arguments: $ARGUMENTS)`
const COMMANDS = {
  task: { description: "Carry a request out as a mission: planned, worked on in parallel, verified", template: left("starts a mission") },
  queue: { description: "Carry a request out as soon as the mission that runs is over", template: left("queues a mission") },
  steer: { description: "Tell the mission's agents something more: /steer use argon2, /steer T2 use argon2", template: left("tells agents something") },
  pause: { description: "Let no turn of the mission begin until /resume", template: left("pauses a mission") },
  resume: { description: "Let the mission of this project go on", template: left("resumes a mission") },
  stop: { description: "End the mission of this project; its work is kept", template: left("ends a mission") },
  status: { description: "Show the mission of this project", template: left("shows a mission") },
  answer: { description: "Answer a question of the mission: /answer q1 yes", template: left("answers a question of a mission") },
}

// One engine connection for each process, however many instances load this file.
const KEY = Symbol.for("opencode-orchestrator.link")
const link = (globalThis[KEY] ??= { instances: 0, running: 0, restarts: 0 })

function folder() {
  const env = process.env
  if (env.ORCHESTRATOR_STATE_DIR) return path.resolve(env.ORCHESTRATOR_STATE_DIR, "run")
  const xdg = path.isAbsolute(env.XDG_STATE_HOME ?? "") ? env.XDG_STATE_HOME : path.join(env.HOME || os.homedir(), ".local/state")
  return path.join(xdg, "opencode-orchestrator/run")
}

// Whoever could write in the folder could put a socket of their own there.
function safe(dir) {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 })
  const found = fs.lstatSync(dir)
  if (!found.isDirectory()) throw new Error(`${dir} is not a folder`)
  if (found.uid !== process.geteuid()) throw new Error(`${dir} belongs to another user`)
  if (found.mode & 0o077) throw new Error(`${dir} is open to other users: chmod 700 it`)
  return dir
}

function json(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"))
  } catch {
    return {}
  }
}

const version = () => (link.version ??= json(path.join(HERE, "package.json")).version ?? "0")

function program(options) {
  const named = options?.engine ?? process.env.ORCHESTRATOR_PROGRAM ?? json(path.join(HERE, "engine.json")).program
  if (named) return named
  try {
    return createRequire(import.meta.url).resolve(`@opencode-orchestrator/${process.platform}-${process.arch}/orchestrator`)
  } catch {
    return "orchestrator"
  }
}

const within = (ms, work, what) => {
  let timer
  const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error(what)), ms)))
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

// OpenCode's own server, on a socket that only this user reaches. Opened with the first connection.
function bridge(input) {
  if (link.bridge) return link.bridge.path
  const config = input.client?._client?.getConfig?.()
  if (typeof Bun === "undefined" || !config?.fetch) return null
  const at = path.join(safe(folder()), `oc-${process.pid}.sock`)
  fs.rmSync(at, { force: true })
  const server = Bun.serve({
    unix: at,
    idleTimeout: 0,
    fetch(request) {
      const url = new URL(request.url)
      const headers = new Headers(request.headers)
      const own = config.headers?.entries?.() ?? Object.entries(config.headers ?? {})
      for (const [name, value] of own) if (!headers.has(name)) headers.set(name, value)
      return config.fetch(new Request(config.baseUrl + url.pathname + url.search, { method: request.method, headers, body: request.body, duplex: "half" }))
    },
  })
  fs.chmodSync(at, 0o600)
  link.bridge = { path: at, server }
  return at
}

function start() {
  const dir = safe(folder())
  const env = { ...process.env }
  for (const name of ["OPENCODE", "OPENCODE_PID", "OPENCODE_PROCESS_ROLE", "OPENCODE_RUN_ID", "AGENT"]) delete env[name]
  // A file and no pipe: the engine outlives this process. As soon as it runs it keeps a log of its own instead.
  const said = path.join(dir, "start.log")
  const log = fs.openSync(said, fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW, 0o600)
  const name = program(link.options)
  return new Promise((started, failed) => {
    const child = spawn(name, ["serve"], { cwd: dir, env, detached: true, stdio: ["ignore", log, log] })
    fs.closeSync(log)
    child.once("spawn", () => started(child))
    child.once("error", (error) => failed(new Error(error.code === "ENOENT" ? `there is no program ${name}; install it, or name it: ORCHESTRATOR_PROGRAM` : error.message)))
    child.once("exit", (code, signal) => {
      // Another one was faster; that one answers.
      if (code !== 0) child.told = fs.readFileSync(said, "utf8").trim().slice(-400) || `the engine ended at once (${code ?? signal})`
    })
    child.unref()
  })
}

// One connection: says who we are, and hands answers to whoever asked. Null if nobody is there.
function connect(input, most) {
  const at = path.join(folder(), "service.sock")
  const found = fs.lstatSync(at, { throwIfNoEntry: false })
  if (!found) return null
  safe(path.dirname(at))
  if (!found.isSocket() || found.uid !== process.geteuid()) throw new Error(`${at} is not a socket of yours`)
  const hello = { talk: TALK, version: version(), pid: process.pid, bridge: bridge(input), directory: input.directory }
  return new Promise((go, no) => {
    const socket = net.connect(at)
    const talk = { socket, asked: new Map() }
    const end = (error) => {
      socket.destroy()
      no(error)
    }
    const timer = setTimeout(() => end(new Error("the engine does not answer; `orchestrator doctor` looks after it")), most)
    let text = ""
    const read = (said) => {
      if (said.talk) clearTimeout(timer), go(talk)
      else if (said.refused) end(Object.assign(new Error(said.refused), { leaving: said.leaving }))
      else if (said.running !== undefined) link.running = said.running
      else talk.asked.get(said.id)?.(said)
    }
    socket.setEncoding("utf8").unref()
    socket.on("connect", () => socket.write(JSON.stringify(hello) + "\n"))
    socket.on("data", (data) => {
      const lines = (text + data).split("\n")
      text = lines.pop()
      try {
        if (text.length > LINE) throw new Error("endless")
        lines.map((line) => JSON.parse(line)).forEach(read)
      } catch {
        end(new Error(`whoever is behind ${at} speaks another language`))
      }
    })
    // A write to an engine that has just died keeps Bun from telling more than one of these, and not always the same.
    for (const gone of ["end", "error", "close"]) socket.on(gone, () => over())
    const over = () => {
      socket.destroy()
      clearTimeout(timer)
      go(null)
      for (const answer of talk.asked.values()) answer(null)
      if (link.talk !== talk) return
      link.talk = undefined
      // An engine that ends when nothing runs is done; one that dies under its missions is started again, and takes
      // them up.
      if (link.running && link.restarts++ < RESTARTS && link.instances) reach(input).catch(() => {})
    }
  })
}

async function open(input) {
  const until = Date.now() + START
  let child
  for (;;) {
    let talk = null
    try {
      talk = await connect(input, child ? Math.max(1, until - Date.now()) : HAND_OVER)
    } catch (error) {
      // An older engine that has nothing to do makes place for ours, once.
      if (!error.leaving || child) throw error
    }
    if (talk) return talk
    if (child?.told) throw new Error(child.told)
    if (Date.now() >= until) throw new Error("the engine does not start within 10 s; `orchestrator serve` tells why")
    if (!child) {
      toast(input, "the engine starts", "info")
      child = await start()
    }
    await new Promise((go) => setTimeout(go, 25))
  }
}

// The connection that there is, or one that is made now. Whoever comes meanwhile waits for the same.
function reach(input) {
  if (link.talk) return Promise.resolve(link.talk)
  return (link.reaching ??= open(input)
    .then((talk) => (link.talk = talk))
    .finally(() => (link.reaching = undefined)))
}

// An engine that runs already may have something to show here. None is started for that, and nothing is said of faults.
async function look(input) {
  try {
    const talk = await connect(input, HAND_OVER)
    if (talk && !link.talk && !link.reaching) link.talk = talk
    else talk?.socket.destroy()
  } catch {}
}

function ask(talk, want) {
  if (talk.socket.destroyed) return Promise.resolve(null)
  const id = (link.n = (link.n ?? 0) + 1)
  return new Promise((answer) => {
    talk.asked.set(id, answer)
    talk.socket.write(JSON.stringify({ id, ...want }) + "\n")
  }).finally(() => talk.asked.delete(id))
}

async function handOver(input, typed) {
  const want = { want: "command", key: randomUUID(), command: typed.command, arguments: typed.arguments ?? "", session: typed.sessionID, directory: input.directory }
  link.restarts = 0
  for (let n = 0; n < 2; n++) {
    const talk = await reach(input)
    // Nothing came back: it ended at that moment, or was killed. Under its key the request is carried out once.
    const said = await within(HAND_OVER, ask(talk, want), "the engine does not answer; `orchestrator status` tells what it does")
    if (said) return { ...said, talk }
    talk.socket.destroy()
    if (link.talk === talk) link.talk = undefined
  }
  throw new Error("the engine ended before it answered; `orchestrator list` tells what it began")
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

async function server(input, options) {
  // Inside the engine's own servers a mission must not begin missions.
  if (process.env.ORCHESTRATOR_INSIDE === "1") return {}
  link.instances++
  link.options ??= options
  if (!link.talk) look(input)
  const ours = new Set()
  const run = process.argv.includes("run")
  return {
    async config(config) {
      try {
        config.command ??= {}
        for (const [name, command] of Object.entries(COMMANDS)) {
          if (config.command[name] && config.command[name].template !== command.template) continue
          config.command[name] = { ...command }
          ours.add(name)
        }
      } catch {}
    },
    async "command.execute.before"(typed, output) {
      if (!ours.has(typed.command)) return
      let said
      try {
        said = await handOver(input, typed)
      } catch (error) {
        said = { say: String(error?.message ?? error), variant: "error" }
      }
      if (run && said.mission && ["task", "queue"].includes(typed.command)) {
        // The run ends with what the mission came to; it is the whole of what the run was for.
        let end
        for (let n = 0; !end && n <= RESTARTS; n++) end = await ask(n ? await reach(input) : said.talk, { want: "wait", mission: said.mission })
        output.parts.splice(0, output.parts.length, { type: "text", text: end?.say ?? `The engine ended. Go on with: orchestrator resume ${said.mission}` })
        return
      }
      if (process.argv[2] === "run") {
        // A run has no view for a toast and nothing else to do; going on, OpenCode would call it an error. It ends only
        // where its name can be nothing but the command.
        const failed = said.variant === "error" || said.variant === "warning"
        fs.writeSync(failed ? 2 : 1, `${said.say}\n`)
        close()
        process.exit(failed ? 1 : 0)
      }
      await toast(input, said.say, said.variant)
      // No message is stored and no model is asked. The terminal view says nothing of it.
      throw Object.assign(new Error(`orchestrator: ${said.say}`), { orchestrator: true })
    },
    async dispose() {
      try {
        if (--link.instances > 0) return
        close()
      } catch {}
    },
  }
}

// OpenCode 2 calls this with commands that can be executed; 1.x calls it too, without them. Made after its public
// documentation, and not run against the real program.
async function setup(context) {
  if (process.env.ORCHESTRATOR_INSIDE === "1") return
  if (typeof context?.command?.transform !== "function" || !context.session || !context.tool) return
  link.options ??= context.options
  const input = { client: context.client, directory: context.location?.directory ?? process.cwd() }
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

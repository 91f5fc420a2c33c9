// The connection to the engine, for OpenCode's server and for its screen: where the engine is, who may answer in its
// place, how it is started, what is said and heard, and which OpenCode it is that talks.
import { execFile, spawn } from "node:child_process"
import fs from "node:fs"
import { createRequire } from "node:module"
import net from "node:net"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"

const TALK = 1
export const HAND_OVER = 1_000 // from a request to the engine's answer, once it runs
export const AGAIN = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000] // an engine that is there or was is looked for so often
const LINE = 1 << 20 // the longest line that the engine may send
const PULSE = 5_000 // so often an engine that is waited for is asked for a sign of life
const MISSED = 12 // after so many in a row without one, a minute, it stands still
const HERE = path.dirname(fileURLToPath(import.meta.url))

// Which of its commands OpenCode was started as, with these words behind its name, as its own reader of options sees it:
// an option takes the word behind it, also one that is not known yet, unless it is one of those that are known to take
// none.
export function command(words) {
  for (let n = 0; n < words.length; n++) {
    const [word, next] = [words[n], words[n + 1]]
    if (word === "--") return
    if (!word.startsWith("-")) return word
    if (word.includes("=")) continue
    const takes = /^(-h|-v|--help|--version|--print-logs|--pure|--no-.*)$/.test(word) ? ["true", "false"].includes(next) : next !== undefined && (!next.startsWith("-") || /^-\d/.test(next))
    if (takes) n++
  }
}

export function folder() {
  const env = process.env
  if (env.ORCHESTRATOR_STATE_DIR) return path.resolve(env.ORCHESTRATOR_STATE_DIR, "run")
  const xdg = path.isAbsolute(env.XDG_STATE_HOME ?? "") ? env.XDG_STATE_HOME : path.join(env.HOME || os.homedir(), ".local/state")
  return path.join(xdg, "opencode-orchestrator/run")
}

// Whether a folder is a workspace of the engine, under whatever name the state directory goes.
export function workspace(directory) {
  const real = (at) => {
    try {
      return fs.realpathSync(at)
    } catch {
      return path.resolve(at)
    }
  }
  const below = path.relative(path.join(real(path.dirname(folder())), "missions"), real(directory ?? "/"))
  return below !== "" && !below.startsWith("..") && !path.isAbsolute(below)
}

// Whoever could write in the folder could put a socket of their own there.
export function safe(dir) {
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

// That of what runs here: once it is loaded, an install may have put another one into its place.
const VERSION = json(path.join(HERE, "package.json")).version ?? "0"

function program(options) {
  const named = options?.engine ?? process.env.ORCHESTRATOR_PROGRAM ?? json(path.join(HERE, "engine.json")).program
  if (named) return named
  try {
    return createRequire(import.meta.url).resolve(`@opencode-orchestrator/${process.platform}-${process.arch}/orchestrator`)
  } catch {
    return "orchestrator"
  }
}

export const within = (ms, work, what) => {
  let timer
  const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error(what)), ms)))
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

// Whether the program that is started is of the version of what runs here.
export function current(options) {
  return new Promise((go) => {
    execFile(program(options), ["--version"], { timeout: 5_000 }, (error, said) => go(!error && said.trim().split(" ").pop() === VERSION))
  })
}

export function start(options) {
  const dir = safe(folder())
  const env = { ...process.env }
  for (const name of ["OPENCODE", "OPENCODE_PID", "OPENCODE_PROCESS_ROLE", "OPENCODE_RUN_ID", "AGENT"]) delete env[name]
  // A file and no pipe: the engine outlives this process. As soon as it runs it keeps a log of its own instead.
  const said = path.join(dir, "start.log")
  const log = fs.openSync(said, fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW, 0o600)
  const name = program(options)
  return new Promise((started, failed) => {
    const child = spawn(name, ["serve"], { cwd: dir, env, detached: true, stdio: ["ignore", log, log] })
    fs.closeSync(log)
    child.once("spawn", () => started(child))
    child.once("error", (error) => failed(new Error(error.code === "ENOENT" ? `there is no program ${name}; install it, or name it: ORCHESTRATOR_PROGRAM` : error.message)))
    child.once("exit", (code, signal) => {
      // Another one was faster; that one answers.
      if (code === 0) child.over = true
      else child.told = fs.readFileSync(said, "utf8").trim().slice(-400) || `the engine ended at once (${code ?? signal})`
    })
    child.unref()
  })
}

// One connection: says who we are, and hands answers to whoever asked. Null if nobody is there. What there is to say
// about us is asked for only where there is somebody to hear it; when the connection ends, `gone` is told.
export function connect(about, most, gone) {
  const at = path.join(folder(), "service.sock")
  const found = fs.lstatSync(at, { throwIfNoEntry: false })
  if (!found) return null
  safe(path.dirname(at))
  if (!found.isSocket() || found.uid !== process.geteuid()) throw new Error(`${at} is not a socket of yours`)
  const hello = { talk: TALK, version: VERSION, pid: process.pid, ...about() }
  return new Promise((go, no) => {
    const socket = net.connect(at)
    const talk = { socket, asked: new Map(), running: 0, n: 0, told: new Set(hello.directories) }
    const end = (error) => {
      socket.destroy()
      no(error)
    }
    const timer = setTimeout(() => end(new Error("the engine does not answer; `orchestrator list` tells what it has begun")), most)
    let text = ""
    const read = (said) => {
      if (said.talk) clearTimeout(timer), go(talk)
      else if (said.refused) end(Object.assign(new Error(said.refused), { refused: true, leaving: said.leaving, older: said.older }))
      else if (said.leaving) (talk.leaving = true), (talk.running = 0)
      else if (said.running !== undefined) talk.running = said.running
      else if (said.taken) talk.asked.get(said.id)?.taken()
      else talk.asked.get(said.id)?.answer(said)
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
    for (const end of ["end", "error", "close"]) socket.on(end, () => over())
    const over = () => {
      socket.destroy()
      clearTimeout(timer)
      go(null)
      for (const { answer } of talk.asked.values()) answer(null)
      gone(talk)
    }
  })
}

// What the engine answers; null if it ended before. `taken` is called as soon as it has a command and is at it.
export function ask(talk, want, taken = () => {}) {
  if (talk.socket.destroyed) return Promise.resolve(null)
  const id = ++talk.n
  return new Promise((answer) => {
    talk.asked.set(id, { answer, taken })
    talk.socket.write(JSON.stringify({ id, ...want }) + "\n")
  }).finally(() => talk.asked.delete(id))
}

// What comes of work that may take as long as it likes, while the engine gives signs of life. It is counted in beats and
// not by the clock: a machine that slept has missed one at the most.
export function alive(talk, work) {
  let asked = false
  let missed = 0
  let timer
  const still = new Promise((_, no) => {
    timer = setInterval(() => {
      if (asked && ++missed >= MISSED) return no(Object.assign(new Error("the engine stands still; `orchestrator doctor` says why"), { still: true }))
      if (asked) return
      asked = true
      ask(talk, { want: "alive" }).then(() => ((asked = false), (missed = 0)))
    }, PULSE)
  })
  return Promise.race([work, still]).finally(() => clearInterval(timer))
}

// Hands a command over. An engine that has it may be at it for longer than is waited here, which is no fault of it: that
// is said then, and what comes of it is handed to `late`. One that does not even take it does not answer.
export async function order(talk, want, { most = HAND_OVER, longest = most, late }) {
  let taken = false
  const asked = ask(talk, want, () => (taken = true))
  const wait = (ms, work) => within(ms, work, "the engine does not answer; `orchestrator status` tells what it does")
  try {
    return await wait(most, asked).catch((error) => {
      if (taken && longest > most) return wait(longest - most, alive(talk, asked))
      throw error
    })
  } catch (error) {
    if (error.still) throw error
    const ended = taken && { say: "the engine ended before it answered; `orchestrator list` tells what it began", variant: "error" }
    asked.then((said) => (said || ended) && late(said || ended)).catch(() => {})
    if (!taken) throw error
    return { say: "the engine is at it; what comes of it is told here", variant: "info" }
  }
}

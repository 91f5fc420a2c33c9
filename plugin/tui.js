// OpenCode's screen: a panel beside the conversation, a page and a badge, drawn as the engine says, and a dialog that
// hands answers on. OpenCode brings what is imported here; it compiles no JSX in packages, so there is none. Nothing is
// started from here, and while no engine runs nothing is done.
import { createComponent, createElement, insert, spread, useTerminalDimensions } from "@opentui/solid"
import { randomUUID } from "node:crypto"
import { createEffect, createSignal, onCleanup } from "solid-js"
import { AGAIN, ask, connect, HAND_OVER, order } from "./talk.js"

const PAGE = "orchestrator.mission"
const TITLE = "orchestrator"
const OTHER = Symbol("an answer that is none of the choices")
const LONG = 10_000 // from a command to its answer: a mission is ended before it is told so

// An element. What is a function in it is asked again when what it tells of has changed.
function element(kind, props, children) {
  const node = createElement(kind)
  spread(node, props, true)
  insert(node, children)
  return node
}

// A view in the form that is drawn, whatever was said.
function plain(said) {
  const list = (of) => (Array.isArray(of) ? of : [])
  const row = (of) => ({ tone: String(of?.tone ?? ""), text: String(of?.text ?? "") })
  const choice = (of) => ({ word: String(of?.word), shown: String(of?.shown), about: String(of?.about ?? "") })
  return {
    seen: String(said.seen),
    mission: said.mission,
    badge: row(said.badge),
    panel: list(said.panel).map(row),
    page: list(said.page).map(row),
    asks: list(said.asks).map((of) => ({ id: String(of?.id), text: String(of?.text), choices: list(of?.choices).map(choice), free: of?.free === true })),
    commands: list(said.commands),
  }
}

// What is drawn. A fault in it would end OpenCode with all that stands there; and it takes no text outside of a line.
const drawn = (what) => () => {
  try {
    return what() || null
  } catch {
    return null
  }
}

async function tui(api) {
  // Inside the engine's own servers there is nobody who looks.
  if (process.env.ORCHESTRATOR_INSIDE === "1") return
  const none = plain({ seen: "" })
  const [view, setView] = createSignal(none)
  const directory = () => api.state.path.directory || process.cwd()
  const color = (row) => api.theme.current[row.tone === "muted" ? "textMuted" : row.tone || "text"]
  const [told, tell] = createSignal({ tone: "", text: "" })
  // Why nothing is seen of an engine that is there.
  const [why, because] = createSignal("")
  // OpenCode draws toasts on its own pages only; ours has a line for what is told.
  const say = (text, tone) => (api.route.current.name === PAGE ? tell({ tone, text }) : api.ui.toast({ title: TITLE, message: text, variant: tone }))
  let talk
  let reaching
  let silent = false
  let looks = 0
  let looking = false
  let columns = 0
  const over = () => api.lifecycle.signal.aborted

  // The engine, if one runs. Whoever comes meanwhile waits for the same connection.
  function reach() {
    if (talk) return Promise.resolve(talk)
    const gone = (ended) => talk === ended && (talk = undefined)
    return (reaching ??= Promise.resolve()
      .then(() => connect(() => ({}), HAND_OVER, gone))
      // Somebody is there and does not answer in time, as where OpenCode's own start takes all that the machine has.
      .catch((error) => ((silent = true), because(String(error?.message ?? error)), false))
      .then((found) => {
        if (found !== false) because("")
        if (over()) found?.socket.destroy()
        return (talk = !found || found.socket.destroyed ? undefined : found)
      })
      .finally(() => (reaching = undefined)))
  }

  // Looks until it is looked anew: each answer is drawn and asked about again, and the engine answers when there is
  // something else to see.
  async function look() {
    const n = ++looks
    const current = () => n === looks && !over()
    looking = true
    try {
      const session = here()
      let seen = ""
      let late = false
      silent = false
      for (let again = AGAIN.length; current(); ) {
        const engine = await reach()
        const said = engine && (await ask(engine, { want: "look", directory: directory(), session, seen, page: columns }))
        if (!current()) return
        if (said?.view) {
          again = 0
          setView(plain(said.view))
          seen = view().seen
          continue
        }
        seen = ""
        setView(none)
        if (silent && again >= AGAIN.length && !late) {
          late = true
          again = 0
        }
        if (again >= AGAIN.length) return
        const pause = AGAIN[again++]
        await new Promise((go) => setTimeout(go, pause).unref?.())
      }
    } catch {
      // What cannot be seen is not shown.
    } finally {
      if (n === looks) looking = false
    }
  }

  // The conversation on the screen, or the one that the page was opened from.
  let last = ""
  function here() {
    const route = api.route.current
    if (route.name !== PAGE) last = route.name === "session" ? (route.params?.sessionID ?? "") : ""
    return last
  }

  // What is meant is the mission that was seen: by now another one may be the mission here.
  async function command(name, words = "", mission = view().mission) {
    try {
      const engine = await reach()
      const want = { want: "command", key: randomUUID(), command: name, arguments: words, session: here(), directory: directory(), mission }
      const late = (said) => over() || say(said.say, said.variant)
      const said = engine && (await order(engine, want, { most: LONG, late }))
      if (said) say(said.say, said.variant)
      else say(why() || "no engine runs; type /resume in the conversation", "warning")
    } catch (error) {
      say(String(error?.message ?? error), "error")
    }
  }

  // The oldest question, with what there is to choose.
  function answer() {
    const { mission, asks } = view()
    const asked = asks[0]
    if (!asked) return say("nothing is asked now", "info")
    const send = (words) => {
      api.ui.dialog.clear()
      if (words.trim()) command("answer", `${asked.id} ${words}`, mission)
    }
    const options = asked.choices.map(({ word, shown, about }) => ({ title: shown, value: word, description: about }))
    const leave = () => api.ui.dialog.clear()
    const show = (what, props) => api.ui.dialog.replace(() => createComponent(what, { title: asked.text, ...props }))
    const write = () => show(api.ui.DialogPrompt, { placeholder: "your answer", onConfirm: send, onCancel: leave })
    if (asked.free && options.length) options.push({ title: "something else", value: OTHER, description: "in your own words" })
    api.ui.dialog.setSize("large")
    if (!options.length) write()
    else show(api.ui.DialogSelect, { options, onSelect: (chosen) => (chosen.value === OTHER ? write() : send(chosen.value)) })
  }

  function stop() {
    const { mission } = view()
    const leave = () => api.ui.dialog.clear()
    const sure = () => (leave(), command("stop", "", mission))
    const told = { title: "End the mission?", message: "Its work is kept, and /resume goes on with it." }
    api.ui.dialog.replace(() => createComponent(api.ui.DialogConfirm, { ...told, onConfirm: sure, onCancel: leave }))
  }

  const can = (name) => view().commands.includes(name)
  const open = () => (here(), api.route.navigate(PAGE))
  const close = () => (last ? api.route.navigate("session", { sessionID: last }) : api.route.navigate("home"))

  const line = (row) => element("text", { fg: color(row) }, String(row.text || " "))
  const muted = (text) => line({ tone: "muted", text })

  function Page() {
    const size = useTerminalDimensions()
    let box
    createEffect(() => {
      columns = Math.max(20, size().width - 6)
      look()
    })
    tell({ tone: "", text: "" })
    const scroll = (by) => box?.scrollBy(by)
    const keys = [
      { key: "escape", name: "close", title: "Leave the mission's page", run: close },
      { key: "q", name: "leave", title: "Leave the mission's page", run: close },
      { key: "a", name: "answer", title: "Answer the mission's question", run: answer },
      { key: "p", name: "pause", title: "Pause the mission", run: () => can("pause") && command("pause") },
      { key: "r", name: "resume", title: "Let the mission go on", run: () => can("resume") && command("resume") },
      { key: "s", name: "stop", title: "End the mission", run: () => can("stop") && stop() },
      { key: "down", name: "down", title: "Scroll down", run: () => scroll(1) },
      { key: "up", name: "up", title: "Scroll up", run: () => scroll(-1) },
      { key: "pagedown", name: "pagedown", title: "Scroll a page down", run: () => scroll(size().height - 6) },
      { key: "pageup", name: "pageup", title: "Scroll a page up", run: () => scroll(6 - size().height) },
    ].map((key) => ({ ...key, name: `${PAGE}.${key.name}` }))
    const commands = keys.map(({ name, title, run }) => ({ name, title, run }))
    const bindings = keys.map(({ key, name, title }) => ({ key, cmd: name, desc: title }))
    onCleanup(api.keymap.registerLayer({ mode: "base", commands, bindings }))
    onCleanup(() => {
      columns = 0
      queueMicrotask(look)
    })
    const hint = () => ["esc back", view().asks.length && "a answer", can("pause") && "p pause", can("resume") && "r go on", can("stop") && "s end", "↑↓ scroll"]
    const whole = () => ({ flexDirection: "column", width: size().width, height: size().height, paddingLeft: 2, paddingRight: 2, paddingTop: 1, backgroundColor: api.theme.current.background })
    const nothing = () => muted(view().seen ? "…" : why() || "No engine runs: /task starts one, /resume goes on with a mission.")
    return element("box", whole, [
      element("scrollbox", { ref: (it) => (box = it), flexGrow: 1 }, drawn(() => (view().page.length ? view().page.map(line) : nothing()))),
      drawn(() => told().text && line(told())),
      drawn(() => muted(hint().filter(Boolean).join(" · "))),
    ])
  }

  // Another conversation may have another mission.
  const follow = (props) => createEffect(() => (props.session_id ?? "") !== last && looking && look())

  function Badge(props) {
    follow(props)
    return drawn(() => view().badge.text && line(view().badge))
  }

  function Panel(props) {
    follow(props)
    const rows = () => {
      const [head, ...rest] = view().panel
      return [element("text", { fg: color(head) }, element("b", {}, head.text)), ...rest.map(line)]
    }
    return drawn(() => view().panel.length > 0 && element("box", { flexDirection: "column" }, rows()))
  }

  api.route.register([{ name: PAGE, render: () => createComponent(Page, {}) }])
  api.slots.register({
    order: 150,
    slots: {
      sidebar_content: (_context, props) => createComponent(Panel, props),
      session_prompt_right: (_context, props) => createComponent(Badge, props),
      home_prompt_right: (_context, props) => createComponent(Badge, props),
    },
  })
  api.keymap.registerLayer({
    commands: [
      { name: "orchestrator.open", title: "Mission: show it", desc: "Show the mission of this project", category: "Mission", namespace: "palette", slashName: "mission", run: open },
      { name: "orchestrator.answer", title: "Mission: answer its question", desc: "Answer what the mission asks", category: "Mission", namespace: "palette", run: answer },
    ],
    bindings: [],
  })
  // Whatever the engine or the plugin tells comes as a toast, and so does the first sign of an engine.
  api.lifecycle.onDispose(api.event.on("tui.toast.show", (event) => event.properties?.title === TITLE && !talk && look()))
  api.lifecycle.onDispose(() => {
    looks++
    talk?.socket.destroy()
  })
  look()
}

export default { id: "opencode-orchestrator", tui }

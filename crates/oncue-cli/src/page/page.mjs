/** The page itself: which section is shown, keys, the state of the connection, and what the worker is asked for. */

/** Data come each second; this long without any is worth saying. */
const SILENT_MS = 4_000
/** A page in the background ends its subscriptions after this time. */
const HIDDEN_MS = 5_000
const SECTIONS = ["topics", "routes", "peers", "events"]

const byId = (id) => document.getElementById(id)
const prefix = document.body.dataset.prefix
const [status, statusText, about, search, pause] = ["status", "status-text", "about", "search", "pause"].map(byId)

const code = new Blob([byId("worker").textContent], { type: "text/javascript" })
const worker = new Worker(URL.createObjectURL(code), { type: "module" })

let section = "topics"
let selected
let visible = true
let paused = false
/** The number of the last question, and of the last answer that was shown. */
let asked = 0
let shownNumber = 0
let asking = false
let connection = { name: "connecting" }
let openedAt = 0
let heard
/** What the server has said last that is not of the schema. */
let trouble

const overview = new OverviewView(byId("overview"))
const detail = new DetailView(() => {
  selected = undefined
  look()
})
const tables = {}
for (const region of document.querySelectorAll("[data-table]")) {
  tables[region.dataset.table] = new TableView(region, look, (name, key) => {
    selected = { section: name, key }
    detail.open(key.replace(/^prefix:/, ""))
    look()
  })
}

/** Asks for what is visible, once in a frame. */
function look() {
  if (asking) return
  asking = true
  requestAnimationFrame(() => {
    asking = false
    ask()
  })
}

function ask() {
  asked += 1
  const names = section === "peers" ? ["peers", "refused"] : [section]
  const windows = names.map((name) => tables[name].query(search.value))
  worker.postMessage({ kind: "look", number: asked, section, selected, visible, windows })
}

function show({ number, windows, overview: values, counts, detail: found, heard: last }) {
  heard = last
  tell()
  if (paused && number === shownNumber) return
  shownNumber = number
  if (values) showOverview(values, counts)
  for (const found of windows) tables[found.section].update(found)
  if (selected && heard) detail.update(found)
}

function showOverview(values, counts) {
  overview.update(values)
  const title = `${format.count(values.wanted)} wanted – Oncue`
  if (document.title !== title) document.title = title
  write(about, `${values.version}, ${values.endpoints.join(", ")}, up ${format.seconds(values.uptime_seconds)}`)
  const numbers = { topics: counts.topics, routes: counts.routes, peers: values.peers }
  for (const [name, number] of Object.entries(numbers)) {
    write(document.querySelector(`nav [data-section="${name}"] .count`), format.count(number))
  }
}

/** What is true of the connection. The text changes only with the state, since it is read aloud. */
function tell() {
  const [state, text] = told()
  status.dataset.state = state
  write(statusText, text)
}

function told() {
  if (connection.name === "connecting") return ["connecting", "connecting"]
  if (connection.name === "closed") return ["closed", `not connected: ${connection.reason}; trying again`]
  if (trouble) return ["silent", `connected; this page does not understand ${trouble}`]
  const last = Math.max(heard ?? 0, openedAt)
  if (!visible || Date.now() - last < SILENT_MS) return ["open", "connected"]
  if (heard > openedAt) return ["silent", `connected; no data since ${format.time(heard / 1000)}`]
  return ["silent", `connected; the server says nothing under ${prefix}: that is off there, or a rule denies it`]
}

function choose(name) {
  section = SECTIONS.includes(name) ? name : "topics"
  for (const each of SECTIONS) byId(`section-${each}`).hidden = each !== section
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "true")
    else link.removeAttribute("aria-current")
  }
  look()
}

function setPaused(value) {
  paused = value
  pause.setAttribute("aria-pressed", `${paused}`)
  look()
}

/** Keys for everything but text fields and dialogs. */
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("dialog")) return
  if (event.target === search) {
    if (event.key === "Escape") clearSearch()
    return
  }
  const at = Number(event.key)
  if (event.key === "/") search.focus()
  else if (event.key === "p") setPaused(!paused)
  else if (SECTIONS[at - 1]) location.hash = SECTIONS[at - 1]
  else return
  event.preventDefault()
}

function clearSearch() {
  search.value = ""
  search.blur()
  searched()
}

function searched() {
  for (const table of Object.values(tables)) table.toTop()
  look()
}

let hiding
function visibility() {
  clearTimeout(hiding)
  const set = (value) => {
    visible = value
    // There are no frames in the background.
    ask()
  }
  if (document.visibilityState === "visible") set(true)
  else hiding = setTimeout(set, HIDDEN_MS, false)
}

worker.onmessage = ({ data }) => {
  if (data.kind === "show") show(data)
  else if (data.kind === "trouble") trouble = data.text
  else if (data.kind === "state") {
    connection = data.state
    if (connection.name === "open") {
      openedAt = Date.now()
      trouble = undefined
    }
    tell()
  }
}
worker.onerror = ({ message }) => {
  connection = { name: "closed", reason: `this page has failed (${message}); reload it` }
  tell()
}
addEventListener("hashchange", () => choose(location.hash.slice(1)))
addEventListener("keydown", pressed)
document.addEventListener("visibilitychange", visibility)
search.addEventListener("input", searched)
pause.addEventListener("click", () => setPaused(!paused))
setInterval(tell, 1_000)

const url = new URL(location.href)
url.protocol = url.protocol.replace("http", "ws")
url.hash = ""
worker.postMessage({ kind: "begin", url: url.href, prefix })
choose(location.hash.slice(1))

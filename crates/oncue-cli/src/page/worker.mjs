/**
 * The worker of the page: the connection, and what it brings. It comes after oncue.js and model.mjs in one module, and tells the
 * page what to show whenever that changes, a few times a second at most.
 */

/** At least this long, in milliseconds, from one answer to the next that nobody asked for. */
const SHOW_MS = 100
/** The topics about the server that are wanted whenever the page is visible. */
const ALWAYS = ["stats", "routes", "demand", "events"]

const model = new Model()
let subscriber
let prefix
/** What the page looks at. */
let look
let wanted = new Set()
let heard
let timer

/** Subscribes to what the page looks at, and to nothing else: the server produces only that. */
function want(names) {
  for (const name of names) if (!wanted.has(name)) subscriber.subscribe(prefix + name)
  for (const name of wanted) if (!names.has(name)) subscriber.unsubscribe(prefix + name)
  if (wanted.has("demand") && !names.has("demand")) model.pause()
  wanted = names
}

function namesFor({ visible, section, selected }) {
  if (!visible) return new Set()
  const peers = section === "peers" || selected !== undefined
  return new Set(peers ? [...ALWAYS, "peers"] : ALWAYS)
}

function show() {
  clearTimeout(timer)
  timer = undefined
  if (!look) return
  const windows = look.windows.map((query) => ({ section: query.section, ...model.window(query.section, query) }))
  const detail = look.selected && model.detail(look.selected)
  postMessage({ kind: "show", number: look.number, overview: model.overview(), counts: model.counts(), windows, detail, heard })
}

function showSoon() {
  timer ??= setTimeout(show, SHOW_MS)
}

async function read() {
  for await (const message of subscriber) {
    try {
      model.apply(message.topic.slice(prefix.length), message.json())
      heard = Date.now()
    } catch (error) {
      postMessage({ kind: "trouble", text: `${message.topic}: ${error.message}` })
    }
    showSoon()
  }
}

function begin(url) {
  // The newest of each is enough, but each event counts.
  subscriber = new Subscriber(url, { queueMessagesMax: 10_000, queueBytesMax: 128 << 20, messageBytesMax: 128 << 20, reconnectMaxMs: 5_000 })
  const tell = () => postMessage({ kind: "state", state: { ...subscriber.state } })
  subscriber.addEventListener("state", () => {
    if (subscriber.state.name === "closed") model.pause()
    tell()
  })
  tell()
  read()
}

onmessage = ({ data }) => {
  if (data.kind === "begin") {
    prefix = data.prefix
    begin(data.url)
  } else if (data.kind === "look") {
    look = data
    want(namesFor(data))
    show()
  }
}

/**
 * What the page knows of the server: the newest of each topic about it, rates, and a short history of each topic. It runs in a
 * worker, so that a list of 100,000 topics does not stop the page, and gives only the rows that are visible.
 */

/** Samples of a history: one for each message of `demand` or `stats`, which come each second. */
const HISTORY = 60
const EVENTS_MAX = 500
const PEERS_OF_A_TOPIC_MAX = 50

/** Values a second, as a ring of the last samples. */
class History {
  #samples = new Float32Array(HISTORY).fill(NaN)
  #next = 0
  #before
  rate = NaN
  /** How many samples there have been: a line is drawn again only if there is another one. */
  ticks = 0

  /** `count` at `time` seconds. A count that falls began anew. */
  take(count, time) {
    const before = this.#before
    this.#before = { count, time }
    if (before && time <= before.time) return
    const grown = before && count >= before.count ? count - before.count : count
    this.rate = before ? grown / (time - before.time) : NaN
    this.#put(this.rate)
  }

  /** Nothing was observed for a while: the line has a hole, and the next count is not compared with the last one. */
  pause() {
    this.#before = undefined
    this.rate = NaN
    this.#put(NaN)
  }

  /** The oldest first; NaN where nothing is known. */
  samples() {
    const samples = new Float32Array(HISTORY)
    samples.set(this.#samples.subarray(this.#next))
    samples.set(this.#samples.subarray(0, this.#next), HISTORY - this.#next)
    return samples
  }

  #put(rate) {
    this.#samples[this.#next] = rate
    this.#next = (this.#next + 1) % HISTORY
    this.ticks += 1
  }
}

/** Rows of one kind: sorted and searched when that is needed, and not before. */
class Table {
  #texts
  #rows = []
  #shown = []
  #asked = ""

  /** `texts`: the fields in which a search looks. */
  constructor(texts) {
    this.#texts = texts
  }

  set(rows) {
    this.#rows = rows
    this.#asked = undefined
  }

  get length() {
    return this.#rows.length
  }

  find(key) {
    return this.#rows.find((row) => row.key === key)
  }

  /** The rows `from` to `to` of those that have all words of `search`. Without `sort` they stay in their order. */
  window({ search = "", sort, descending = false, from = 0, to = 0 }) {
    const asked = JSON.stringify([search, sort, descending])
    if (asked !== this.#asked) this.#shown = this.#sorted(this.#found(search), sort, descending)
    this.#asked = asked
    const start = Math.max(0, Math.min(from, this.#shown.length))
    return { total: this.#rows.length, matched: this.#shown.length, from: start, rows: this.#shown.slice(start, to) }
  }

  #found(search) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean)
    if (words.length === 0) return this.#rows.slice()
    const text = (row) => this.#texts.map((field) => row[field] ?? "").join("\n").toLowerCase()
    return this.#rows.filter((row) => words.every((word) => text(row).includes(word)))
  }

  #sorted(rows, sort, descending) {
    if (!sort) return rows
    const sign = descending ? -1 : 1
    return rows.sort((a, b) => sign * compared(a[sort], b[sort]))
  }
}

/** A row as it is told to the page: with the samples of its history. */
function told({ history, ...row }) {
  return history ? { ...row, samples: history.samples(), ticks: history.ticks } : row
}

/** What is unknown comes before all else. */
function compared(a, b) {
  if (typeof a === "number" || typeof b === "number") {
    return (Number.isFinite(a) ? a : -1) - (Number.isFinite(b) ? b : -1)
  }
  const [left, right] = [a ?? "", b ?? ""]
  return left < right ? -1 : left > right ? 1 : 0
}

export class Model {
  tables = {
    routes: new Table(["pattern"]),
    topics: new Table(["topic", "route", "state"]),
    peers: new Table(["address", "user", "socket_type", "endpoint"]),
    refused: new Table(["address", "cause", "error"]),
    events: new Table(["event", "about", "text"]),
  }
  #stats
  #routes = []
  #prefixes = []
  #addresses = new Map()
  #topics = new Map()
  #routeHistories = new Map()
  #values = new History()
  #events = []
  #eventCount = 0

  /** Takes a message of the topic `name`, without its prefix. */
  apply(name, value) {
    if (name === "stats") this.#takeStats(value)
    else if (name === "routes") this.#takeRoutes(value)
    else if (name === "demand") this.#takeDemand(value)
    else if (name === "peers") this.#takePeers(value)
    else if (name === "events") this.#takeEvent(value)
  }

  /** Nothing is observed from now on. */
  pause() {
    for (const { history } of this.#topics.values()) history.pause()
    for (const history of this.#routeHistories.values()) history.pause()
    this.#values.pause()
  }

  overview() {
    if (!this.#stats) return undefined
    const first = this.#routes.reduce((sum, route) => sum + route.first_values * route.first_value_seconds, 0)
    const firsts = this.#routes.reduce((sum, route) => sum + route.first_values, 0)
    return { ...this.#stats, rate: this.#values.rate, first_value_seconds: firsts > 0 ? first / firsts : undefined }
  }

  /** The visible rows of a section. Rows of topics and routes have their histories. */
  window(section, query) {
    const found = this.tables[section].window(query)
    return { ...found, rows: found.rows.map(told) }
  }

  /** How many rows there are. */
  counts() {
    return { topics: this.tables.topics.length, routes: this.tables.routes.length }
  }

  /** All that is known of one row; of a topic also who wants it, by which prefixes. */
  detail({ section, key }) {
    if (section === "topics") return this.#topic(key)
    const found = this.tables[section].find(key)
    return found && told(found)
  }

  #topic(key) {
    const found = this.#topics.get(key)
    if (!found) return undefined
    const topic = told(found)
    const prefixes = this.#prefixes.filter(({ prefix }) => topic.topic.startsWith(prefix))
    const peers = new Set(prefixes.flatMap(({ peers }) => peers))
    const wanted_by = [...peers].slice(0, PEERS_OF_A_TOPIC_MAX).map((id) => this.#addresses.get(id) ?? `peer ${id}`)
    return { ...topic, prefixes: prefixes.map(({ prefix }) => prefix), wanted_by, peers: peers.size }
  }

  #takeStats(stats) {
    this.#stats = stats
    this.#values.take(stats.values, stats.time)
  }

  #takeRoutes({ time, routes }) {
    const histories = new Map()
    this.#routes = routes.map(({ catalogue, ...route }) => {
      const history = this.#routeHistories.get(route.pattern) ?? new History()
      histories.set(route.pattern, history)
      history.take(route.values, time)
      const first = route.first_values > 0 ? route.first_value_seconds : undefined
      return { ...route, key: route.pattern, first, rate: history.rate, history }
    })
    this.#routeHistories = histories
    this.tables.routes.set(this.#routes)
  }

  #takeDemand({ time, topics, prefixes }) {
    const held = new Map()
    for (const topic of topics) {
      const key = topic.topic_base64 ?? topic.topic
      const history = this.#topics.get(key)?.history ?? new History()
      history.take(topic.values, time)
      held.set(key, { ...topic, key, rate: history.rate, history })
    }
    for (const unserved of withoutTopics(prefixes, topics)) {
      held.set(unserved.key, { ...unserved, history: this.#topics.get(unserved.key)?.history ?? new History() })
    }
    this.#topics = held
    this.#prefixes = prefixes
    this.tables.topics.set([...held.values()])
  }

  #takePeers({ peers, refused, refused_total: refusals }) {
    this.#addresses = new Map(peers.map(({ id, address, user }) => [id, user ? `${address} (${user})` : address]))
    this.tables.peers.set(peers.map((peer) => ({ ...peer, key: `${peer.id}` })))
    this.tables.refused.set(refused.map((peer, at) => ({ ...peer, key: `${refusals - at}` })))
  }

  #takeEvent(event) {
    this.#eventCount += 1
    this.#events.unshift({ ...described(event), key: `${this.#eventCount}` })
    this.#events.length = Math.min(this.#events.length, EVENTS_MAX)
    this.tables.events.set(this.#events)
  }
}

/** Prefixes with which no topic begins: somebody wants them, and no route serves them. */
function withoutTopics(prefixes, topics) {
  const names = topics.map(({ topic }) => topic).sort()
  const unserved = prefixes.filter(({ prefix }) => !names[firstFrom(names, prefix)]?.startsWith(prefix))
  return unserved.map(({ prefix, prefix_base64, subscribers }) => ({
    key: `prefix:${prefix_base64 ?? prefix}`,
    topic: prefix,
    route: "",
    state: "no topic",
    subscribers,
    rate: NaN,
  }))
}

/** Where the first of the sorted names stands that is not less than `name`. */
function firstFrom(names, name) {
  let [low, high] = [0, names.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (names[middle] < name) low = middle + 1
    else high = middle
  }
  return low
}

/** An event as a row: what it is about, and what it says of that. */
function described({ time, event, ...fields }) {
  const { peer, address, cause, error, prefix, topic, count } = fields
  const about = prefix ?? topic ?? address ?? (count === undefined ? "" : `${count} events`)
  const texts = [peer === undefined ? "" : `peer ${peer}`, error ?? cause ?? "", event === "skipped" ? "more than are told" : ""]
  return { time, event, about, text: texts.filter(Boolean).join(": ") }
}

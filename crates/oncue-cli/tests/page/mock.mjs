/** A server that plays what a real one says about itself, for states that a real one is hard to bring into. */

import { createHash } from "node:crypto"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import http from "node:http"

import { Peer, message } from "../../../../clients/js/test/server.js"

const SOURCES = new URL("../../src/page/", import.meta.url)
const CLIENT = new URL("../../../../clients/js/oncue.js", import.meta.url)

const hashOf = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** The page as the server sends it: each `{{name}}` is replaced by the file of that name. */
async function assembled(prefix = "$oncue/") {
  let html = await readFile(new URL("index.html", SOURCES), "utf8")
  for (const name of ["style.css", "oncue.js", "model.mjs", "worker.mjs", "view.mjs", "page.mjs"]) {
    const text = await readFile(name === "oncue.js" ? CLIENT : new URL(name, SOURCES), "utf8")
    html = html.replace(`{{${name}}}`, () => text)
  }
  return html.replace("{{prefix}}", () => prefix)
}

/** A policy that allows this page's own script and style, and connections to where it came from. */
function policy(html) {
  const style = /<style>([^]*?)<\/style>/.exec(html)[1]
  const script = /<script type="module">([^]*?)<\/script>/.exec(html)[1]
  const sources = `script-src ${hashOf(script)}; style-src ${hashOf(style)}; img-src data:; worker-src blob:; connect-src 'self'`
  return `default-src 'none'; ${sources}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
}

const ROUTE = {
  catalogue: [], catalogue_total: 0, wanted: 0, running: 0, in_grace: 0, stopping: 0, waiting: 0, failing: 0, started: 0, values: 0,
  offered: 0, avoided: 0, failures: 0, superseded: 0, skipped: 0, congested: 0, fresh: 0, production_seconds: 0, first_values: 0,
  first_value_seconds: 0, first_value_seconds_longest: 0,
}
const PEER = {
  endpoint: "tcp://0.0.0.0:8888", socket_type: "SUB", zmtp: "3.1", prefixes: 1, prefix_bytes: 8, requests: 0, queued: 0, queued_bytes: 0,
  delivered: 0, missed: 0, connected_seconds: 12, silent_seconds: 0.2,
}
const now = () => Date.now() / 1000

/** What the server says, as a test has set it. */
export class Says {
  routes = []
  topics = []
  prefixes = []
  peers = []
  refused = []
  stats = {}

  route(pattern, fields = {}) {
    this.routes.push({ ...ROUTE, pattern, ...fields })
  }

  topic(topic, fields = {}) {
    const made = { topic, route: "", state: "running", subscribers: 1, failures: 0, values: 0, offered: 0, first_value_seconds: 0.004, production_seconds: 0, ...fields }
    this.topics.push(made)
    this.prefixes.push({ prefix: topic, subscribers: made.subscribers, peers: [1] })
    return made
  }

  peer(id, address, fields = {}) {
    this.peers.push({ ...PEER, id, address, ...fields })
  }

  about(name) {
    const time = now()
    const sum = (field) => this.routes.reduce((total, route) => total + route[field], 0)
    return {
      routes: { time, routes: this.routes },
      demand: { time, topics: this.topics, topics_cut: false, prefixes: this.prefixes, prefixes_cut: false },
      peers: { time, peers: this.peers, peers_total: this.peers.length, refused: this.refused, refused_total: this.refused.length },
      stats: {
        time, version: "0.1.0", uptime_seconds: 3_725, endpoints: ["tcp://0.0.0.0:8888"], wanted: this.topics.length,
        running: this.topics.filter(({ state }) => state === "running").length, waiting: 0, failing: 0, unserved: 0,
        values: sum("values"), avoided: sum("avoided"), failures: sum("failures"), production_seconds: 0, delivered: 0, missed: 0,
        peers: this.peers.length, peers_full: 0, peers_lost: 0, peers_refused: this.refused.length, subscriptions_rejected: 0,
        last_values: 0, last_values_bytes: 0, ...this.stats,
      },
    }[name]
  }
}

/** Serves the page, and plays what `says` has each `period` milliseconds to each subscriber. */
export class Mock {
  says = new Says()
  peers = []
  pages = 0

  static async start(test, { period = 100 } = {}) {
    const mock = new Mock()
    mock.html = await assembled()
    mock.server = http.createServer((_, response) => mock.#page(response))
    mock.server.on("upgrade", (request, socket) => mock.#upgrade(request, socket))
    await mock.listen(0)
    const timer = setInterval(() => mock.play(), period)
    test.after(() => {
      clearInterval(timer)
      return mock.stop()
    })
    return mock
  }

  async listen(port) {
    this.server.listen(port, "127.0.0.1")
    await once(this.server, "listening")
    this.port = this.server.address().port
    this.url = `http://127.0.0.1:${this.port}/`
  }

  async stop() {
    for (const peer of this.peers) peer.cut()
    this.server.closeAllConnections()
    if (!this.server.listening) return
    this.server.close()
    await once(this.server, "close")
  }

  /** What is wanted now of all peers. */
  get wanted() {
    return new Set(this.peers.filter(({ ended }) => !ended).flatMap(({ wanted }) => [...wanted]))
  }

  /** Runs before each time that something is played. */
  before() {}

  play() {
    this.before()
    for (const peer of this.peers) for (const topic of peer.ended ? [] : peer.wanted) this.#tell(peer, topic)
  }

  event(event) {
    for (const peer of this.peers) this.send(peer, "$oncue/events", { time: now(), ...event })
  }

  send(peer, topic, value) {
    peer.send(message(topic, typeof value === "string" ? value : JSON.stringify(value)))
  }

  #tell(peer, topic) {
    const value = this.says.about(topic.replace("$oncue/", ""))
    if (value) this.send(peer, topic, value)
  }

  #page(response) {
    this.pages += 1
    response.setHeader("Content-Type", "text/html; charset=utf-8")
    response.setHeader("Content-Security-Policy", policy(this.html))
    response.end(this.html)
  }

  #upgrade({ rawHeaders }, socket) {
    const lines = rawHeaders.map((text, at) => (at % 2 ? `${text}\r\n` : `${text}: `))
    const peer = new Peer(socket, lines.join(""))
    this.peers.push(peer)
    peer.accept()
  }
}

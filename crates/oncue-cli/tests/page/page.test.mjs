/** The page in headless Chromium, against a server that plays what it is told. */

import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { after, before, describe, test as anyTest } from "node:test"

import { skip as noModules, locate } from "../../../../clients/js/test/modules.js"
import { Chromium, skip } from "./chromium.mjs"
import { Mock } from "./mock.mjs"

const test = (name, body) => anyTest(name, { timeout: 60_000 }, body)

const shows = (namesShown) => JSON.stringify([...document.querySelectorAll("section:not([hidden]) .table:not(.short) tbody th")].map((cell) => cell.innerText)) === JSON.stringify(namesShown)
const tile = (name) => document.querySelector(`[data-tile="${name}"]`).innerText
const status = () => document.getElementById("status").innerText

describe("the page", { skip }, () => {
  let browser
  const ends = []
  before(async () => {
    browser = await Chromium.start({ after: (end) => ends.push(end) })
  })
  after(async () => {
    for (const end of ends) await end()
  })

  /** A server with a few routes and topics, and the page of it. */
  async function opened(context, { options, path = "", few = true } = {}) {
    const mock = await Mock.start(context)
    if (few) fill(mock.says)
    const page = await browser.page(mock.url + path, options)
    context.after(() => page.close())
    await page.until(() => document.getElementById("status").dataset.state === "open")
    return { mock, page }
  }

  function fill(says) {
    says.route("prices/{symbol}", { wanted: 2, running: 2, values: 900, avoided: 41_000, first_values: 2, first_value_seconds: 0.012 })
    says.route("clock", { wanted: 1, running: 1, values: 100, first_values: 2, first_value_seconds: 0.004 })
    says.topic("clock", { route: "clock", values: 100 })
    says.topic("prices/ACME", { route: "prices/{symbol}", subscribers: 3, values: 500 })
    says.topic("prices/INIT", { route: "prices/{symbol}", state: "failed", failures: 4, values: 400, first_value_seconds: undefined })
    says.prefixes.push({ prefix: "nothing/", subscribers: 1, peers: [2] })
    says.peer(1, "tcp://127.0.0.1:50001", { delivered: 800 })
    says.peer(2, "tcp://127.0.0.1:50002", { queued: 1_000, missed: 37, user: "alice" })
    says.refused.push({ address: "tcp://10.0.0.9:1", cause: "it is not ZeroMQ", error: "it is not ZeroMQ: it looks like HTTP" })
  }

  test("a topic comes with its subscriber and goes with it", async (context) => {
    const { mock, page } = await opened(context, { few: false })
    await page.until(() => /Nobody wants anything/.test(document.body.innerText))
    mock.says.topic("prices/ACME")
    await page.until(shows, ["prices/ACME"])
    await page.until(() => document.title.startsWith("1 wanted"))
    mock.says.topics.length = 0
    mock.says.prefixes.length = 0
    await page.until(shows, [])
    assert.deepEqual(page.errors, [])
  })

  test("the overview sums up what the server says", async (context) => {
    const { page } = await opened(context)
    await page.until(() => document.querySelector('[data-tile="Wanted"]').innerText === "3")
    assert.equal(await page.value(tile, "Running"), "2")
    assert.equal(await page.value(tile, "Saved"), "41,000")
    assert.equal(await page.value(tile, "First value"), "8 ms")
    assert.equal(await page.value(tile, "Peers"), "2")
    assert.equal(await page.value(tile, "Refused"), "1")
    assert.match(await page.value(() => document.getElementById("about").innerText), /0\.1\.0, tcp:\/\/0\.0\.0\.0:8888, up 62 min/)
    assert.equal(await page.value(status), "connected")
  })

  test("rates are of the time between two looks, and a prefix that no route serves is shown", async (context) => {
    const { mock, page } = await opened(context)
    mock.before = () => (mock.says.topics[1].values += 5)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    const rate = () => Number([...document.querySelectorAll("#section-topics tbody tr")].find((row) => /ACME/.test(row.innerText))?.querySelectorAll("td")[3].innerText)
    // 5 values each 100 ms; timers are late on a busy machine.
    await page.until(`(${rate})() > 20 && (${rate})() < 75`)
    assert.match(await page.value(() => document.querySelector('#section-topics [data-state="no topic"]').closest("tr").innerText), /nothing\//)
  })

  test("a search, by the key of a slash, finds by topic, route and state", async (context) => {
    const { page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    await page.press("/")
    assert.equal(await page.value(() => document.activeElement.id), "search")
    await page.type("PRICES failed")
    await page.until(shows, ["prices/INIT"])
    await page.press("Escape")
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    await page.press("/")
    await page.type("nonsense")
    await page.until(() => /Nothing matches/.test(document.body.innerText))
  })

  test("a heading sorts, says so, and the focus follows its row", async (context) => {
    const { mock, page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    const sort = (label) => [...document.querySelectorAll("#section-topics thead button")].find((button) => button.innerText.startsWith(label)).click()
    const order = () => [...document.querySelectorAll("#section-topics th[aria-sort]")].map((cell) => `${cell.innerText.trim()} ${cell.ariaSort}`)
    assert.deepEqual(await page.value(order), ["Topic ascending"])
    await page.value(sort, "Values")
    await page.value(sort, "Subscribers")
    await page.until(() => document.querySelector("#section-topics tbody th")?.innerText === "prices/ACME")
    assert.deepEqual(await page.value(order), ["Subscribers descending"])
    await page.value(() => document.querySelector("#section-topics tbody th button").focus())
    mock.says.topics[0].subscribers = 9
    await page.until(() => document.querySelector("#section-topics tbody th").innerText === "clock")
    assert.equal(await page.value(() => document.activeElement.innerText), "prices/ACME")
    mock.says.topics.splice(1, 1)
    await page.until(() => document.activeElement.dataset.table === "topics")
  })

  test("a topic's details name who wants it, and stay when it has gone", async (context) => {
    const { mock, page } = await opened(context)
    mock.says.prefixes.push({ prefix: "prices/", subscribers: 1, peers: [2] })
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    await page.value(() => document.querySelectorAll("#section-topics tbody th button")[2].focus())
    await page.press("Enter")
    const field = (name) => document.querySelector(`#detail-fields [data-field="${name}"]`)?.innerText
    await page.until((value) => document.querySelector('#detail-fields [data-field="wanted_by"]')?.innerText === value, "tcp://127.0.0.1:50001\ntcp://127.0.0.1:50002 (alice)")
    assert.equal(await page.value(field, "prefixes"), "prices/ACME\nprices/")
    assert.equal(await page.value(field, "first_value_seconds"), "4 ms")
    assert.ok(mock.wanted.has("$oncue/peers"))
    mock.says.topics.splice(1, 1)
    await page.until(() => /no longer/.test(document.querySelector('[data-field="present"]').innerText))
    assert.equal(await page.value(field, "route"), "prices/{symbol}")
    await page.press("Escape")
    await page.until(() => !document.getElementById("detail").open)
    while (mock.wanted.has("$oncue/peers")) await new Promise((resolve) => setTimeout(resolve, 10))
  })

  test("peers that missed messages come first, and refused ones have their reason", async (context) => {
    const { mock, page } = await opened(context)
    mock.says.peers.reverse()
    assert.ok(!mock.wanted.has("$oncue/peers"))
    await page.press("3")
    await page.until(shows, ["tcp://127.0.0.1:50002", "tcp://127.0.0.1:50001"])
    assert.equal(await page.value(() => document.querySelector("#section-peers tr.slow td.missed").innerText), "37")
    assert.match(await page.value(() => document.querySelector('[data-table="refused"]').innerText), /looks like HTTP/)
    assert.equal(await page.value(() => document.querySelector("nav [aria-current]").innerText), "Peers 2")
  })

  test("routes and events are shown", async (context) => {
    const { mock, page } = await opened(context, { path: "#routes" })
    await page.until(shows, ["prices/{symbol}", "clock"])
    await page.press("4")
    for (const event of [
      { event: "wanted", prefix: "prices/ACME" },
      { event: "refused", address: "tcp://10.0.0.9:1", cause: "closed", error: "it closed the connection" },
      { event: "skipped", count: 12 },
    ]) mock.event(event)
    await page.until(shows, ["12 events", "tcp://10.0.0.9:1", "prices/ACME"])
    assert.match(await page.value(() => document.querySelector("#section-events tbody:not([aria-hidden])").innerText), /it closed the connection/)
  })

  test("a pause stops what moves, and not what is asked for", async (context) => {
    const { mock, page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    await page.press("p")
    assert.equal(await page.value(() => document.getElementById("pause").ariaPressed), "true")
    await new Promise((resolve) => setTimeout(resolve, 200))
    mock.says.topic("zz")
    await new Promise((resolve) => setTimeout(resolve, 500))
    assert.equal(await page.value(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"]), true)
    await page.press("p")
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT", "zz"])
  })

  test("a lost connection is said, and is made again", async (context) => {
    const { mock, page } = await opened(context)
    const { port } = mock
    await mock.stop()
    await page.until(() => /not connected: .*; trying again/.test(document.getElementById("status").innerText))
    await mock.listen(port)
    await page.until(() => document.getElementById("status").innerText === "connected")
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
  })

  test("a server that says nothing, or nonsense, is not called well", async (context) => {
    const { mock, page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    const { play } = mock
    mock.play = () => {}
    await page.until(() => /no data since \d/.test(document.getElementById("status").innerText))
    mock.play = play
    await page.until(() => document.getElementById("status").innerText === "connected")
    mock.send(mock.peers[0], "$oncue/stats", "{")
    await page.until(() => /does not understand \$oncue\/stats/.test(document.getElementById("status").innerText))
    mock.peers[0].cut()
    await page.until(() => document.getElementById("status").innerText === "connected")
    const silent = await Mock.start(context)
    silent.play = () => {}
    const other = await browser.page(silent.url)
    context.after(() => other.close())
    await other.until(() => /says nothing under \$oncue\//.test(document.getElementById("status").innerText))
  })

  test("a closed page wants nothing any more", async (context) => {
    const mock = await Mock.start(context)
    const page = await browser.page(mock.url)
    await page.until(() => document.getElementById("status").innerText === "connected")
    assert.deepEqual([...mock.wanted].sort(), ["$oncue/demand", "$oncue/events", "$oncue/routes", "$oncue/stats"])
    assert.deepEqual([mock.pages, mock.peers.length], [1, 1])
    await page.close()
    await mock.peers[0].end()
    assert.deepEqual(mock.wanted, new Set())
  })

  test("a page in the background wants nothing, until it is looked at again", async (context) => {
    const { mock, page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    const turn = (state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true })
      document.dispatchEvent(new Event("visibilitychange"))
    }
    await page.value(turn, "hidden")
    while (mock.wanted.size > 0) await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal(await page.value(status), "connected")
    await page.value(turn, "visible")
    while (mock.wanted.size < 4) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.equal(mock.peers.length, 1)
  })

  test("nothing in a topic's name is taken for markup", async (context) => {
    const { mock, page } = await opened(context, { few: false })
    const nasty = "<img src=x onerror=alert(1)>\u202Etxt"
    mock.says.topic(nasty, { topic_base64: "PGltZw==" })
    await page.until(shows, [nasty])
    assert.deepEqual(page.errors, [])
  })

  for (const [name, options] of Object.entries({
    light: {},
    dark: { media: { "prefers-color-scheme": "dark" } },
    phone: { width: 360, height: 740, scale: 2 },
  })) {
    anyTest(`axe finds nothing to complain about, ${name}`, { timeout: 60_000, skip: noModules }, async (context) => {
      const { mock, page } = await opened(context, { options })
      await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
      // Through the protocol, since the page's policy allows no other script.
      await page.call("Runtime.evaluate", { expression: await readFile(locate("axe-core/axe.min.js"), "utf8") })
      mock.event({ event: "wanted", prefix: "clock" })
      for (const key of ["1", "2", "3", "4"]) {
        await page.press(key)
        await page.until(() => document.querySelector("section:not([hidden]) .table tbody:not([aria-hidden]) tr"))
        await violations(page, `section ${key}`)
      }
      await page.press("1")
      await page.value(() => document.querySelector("#section-topics tbody th button").click())
      await page.until(() => document.querySelector('[data-field="wanted_by"]'))
      await violations(page, "details")
      const wide = await page.value(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(wide <= 0, `the page is ${wide} pixels too wide`)
      const name = await page.value(() => document.querySelector("#section-topics tbody th").clientWidth)
      assert.ok(name >= 90, `a topic's name has ${name} pixels`)
    })
  }

  async function violations(page, where) {
    const found = await page.value(async () => {
      const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] })
      return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`)
    })
    assert.deepEqual(found, [], where)
  }

  test("without a pointer, everything can be reached", async (context) => {
    const { page } = await opened(context)
    await page.until(shows, ["clock", "nothing/", "prices/ACME", "prices/INIT"])
    const reached = []
    for (let step = 0; step < 20; step += 1) {
      await page.press("Tab")
      const seen = await page.value(() => {
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
        return [document.activeElement.id || document.activeElement.dataset.table || document.activeElement.innerText.trim(), outlineStyle !== "none" && outlineWidth]
      })
      reached.push(seen)
    }
    const order = reached.map(([name]) => name)
    assert.deepEqual(order.slice(0, 7), ["search", "pause", "Topics 4", "Routes 2", "Peers 2", "Events", "topics"])
    assert.ok(order.includes("prices/ACME") && order.includes("Values/s"), order.join())
    assert.ok(reached.slice(0, 15).every(([, visible]) => visible), JSON.stringify(reached))
  })

})

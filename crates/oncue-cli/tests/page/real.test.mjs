/** The page of a real `oncue serve`, and of a real `oncue demo --page`, in headless Chromium. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Subscriber } from "../../../../clients/js/node.js"
import { Program, skip as noProgram } from "../../../../clients/js/test/program.js"
import { Chromium, skip } from "./chromium.mjs"

const CONFIG = `
  bind = "ws://127.0.0.1:0"
  http = "127.0.0.1:0"
  grace = "50ms"
  [[route]]
  topic = "word/{word:word}"
  command = ["echo", "{word}"]
  every = "100ms"
  [[route]]
  topic = "broken"
  command = ["false"]
  every = "100ms"`

/** Where the page of a program is, as it says. */
const pageOf = async (program) => (await program.says("errors", /page at (http:\S+)/))[1]

const names = () => [...document.querySelectorAll("#section-topics tbody th")].map((cell) => cell.innerText).join()

test("a topic comes with a subscriber and goes with it", { timeout: 60_000, skip: skip || noProgram }, async (context) => {
  const program = Program.serve(context, CONFIG)
  const server = await program.url()
  const browser = await Chromium.start(context)
  const page = await browser.page(await pageOf(program))
  await page.until(() => /Nobody wants anything/.test(document.body.innerText))
  await page.until(() => document.getElementById("status").innerText === "connected")

  const subscriber = new Subscriber(server, { topics: ["word/hello", "nothing/"] })
  context.after(() => subscriber.close())
  await page.until(`(${names})() === "nothing/,word/hello"`)
  await page.until(() => document.querySelector('#section-topics [data-state="running"]') && document.querySelector('#section-topics [data-state="no topic"]'))
  await page.until(() => /M.*L/.test(document.querySelector("#section-topics tr[data-key='word/hello'] path").getAttribute("d")))
  await page.until(() => Number(document.querySelector('[data-tile="Values/s"]').innerText) > 1)
  await page.until(() => document.querySelector('[data-tile="First value"]').innerText.endsWith("ms"))

  subscriber.subscribe("broken")
  await page.until(() => document.querySelector('#section-topics [data-state="failed"]'))
  await page.press("2")
  await page.until(() => /broken/.test(document.querySelector("#section-routes tbody:not([aria-hidden])").innerText))
  await page.press("3")
  await page.until(() => document.querySelectorAll("#section-peers .table:not(.short) tr[data-key]").length === 2)
  await page.press("4")
  await page.until(() => /failed/.test(document.querySelector("#section-events tbody:not([aria-hidden])").innerText))

  await subscriber.close()
  await page.press("1")
  await page.until(() => /Nobody wants anything/.test(document.body.innerText))
  assert.equal(await page.value(() => document.getElementById("status").innerText), "connected")
  assert.deepEqual(page.errors, [])
})

test("the topics about the server are produced while a page is open, and no longer", { timeout: 60_000, skip: skip || noProgram }, async (context) => {
  const program = Program.serve(context, CONFIG)
  const watcher = new Subscriber(await program.url(), { topics: ["$oncue/stats"] })
  context.after(() => watcher.close())
  const stats = async (what) => {
    for await (const message of watcher) {
      const said = message.json()
      if (what(said)) return said
    }
  }
  // Each topic about the server has a thread while it is produced.
  const { process } = await stats(({ peers, uptime_seconds }) => peers === 1 && uptime_seconds > 1)
  const browser = await Chromium.start(context)
  const page = await browser.page(await pageOf(program))
  await page.until(() => document.getElementById("status").innerText === "connected")
  // routes, demand and events; stats is produced for the watcher already.
  await stats(({ peers, process: now }) => peers === 2 && now.threads === process.threads + 3)
  await page.press("3")
  await stats(({ process: now }) => now.threads === process.threads + 4)
  await page.close()
  await stats(({ peers, process: now }) => peers === 1 && now.threads === process.threads)
})

test("the demo's page shows a, b and c as what they are", { timeout: 60_000, skip: skip || noProgram }, async (context) => {
  const program = Program.start(context, ["demo", "--bind", "tcp://127.0.0.1:0", "--every", "300ms", "--page", "127.0.0.1:0"])
  const browser = await Chromium.start(context)
  const page = await browser.page(await pageOf(program))
  // The subscribers come and go: the topics are not there at the same time always.
  await page.until(() => {
    globalThis.seen ??= new Map()
    for (const row of document.querySelectorAll("#section-topics tr[data-key]")) {
      const state = row.querySelector("[data-state]").dataset.state
      if (state === "running" && /\d ms/.test(row.innerText)) seen.set(row.querySelector("th").innerText, state)
    }
    return [...seen.keys()].sort().join() === "a,b,c"
  })
  await page.until(() => Number(document.querySelector('[data-tile="Values/s"]').innerText) > 1)
  await page.until(() => Number(document.querySelector('[data-tile="Saved"]').innerText) > 0)
  assert.deepEqual(page.errors, [])
})

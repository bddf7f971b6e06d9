/** The page of a real `oncue serve`, in headless Chromium. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Subscriber } from "../../../../clients/js/node.js"
import { Program, skip as noProgram } from "../../../../clients/js/test/program.js"
import { Chromium, skip } from "./chromium.mjs"
import { front } from "./front.mjs"

const CONFIG = `
  bind = "ws://127.0.0.1:0"
  grace = "50ms"
  [[route]]
  topic = "word/{word:word}"
  command = ["echo", "{word}"]
  every = "100ms"
  [[route]]
  topic = "broken"
  command = ["false"]
  every = "100ms"`

const names = () => [...document.querySelectorAll("#section-topics tbody th")].map((cell) => cell.innerText).join()

test("a topic comes with a subscriber and goes with it; a closed page leaves nothing", { timeout: 60_000, skip: skip || noProgram }, async (context) => {
  const server = await Program.serve(context, CONFIG).url()
  const browser = await Chromium.start(context)
  const page = await browser.page(await front(context, server))
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

  const watcher = new Subscriber(server, { topics: ["$oncue/peers"] })
  context.after(() => watcher.close())
  const prefixes = async (what) => {
    for await (const message of watcher) {
      const held = message.json().peers.map(({ prefixes }) => prefixes)
      if (what(held)) return held
    }
  }
  await prefixes((held) => held.length === 2 && held.includes(4))
  await page.close()
  await prefixes((held) => held.length === 1)
})

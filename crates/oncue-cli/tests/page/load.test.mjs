/**
 * The page with 10,000 topics of which 100 change each second: what its thread does while the list is scrolled, beside what it
 * does for a short list. Processor time is compared, since other work on the machine takes frames from both.
 */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Chromium, skip } from "./chromium.mjs"
import { Mock } from "./mock.mjs"

const TOPICS = 10_000
const MEASURED_MS = 6_000

/** Frames of `time` milliseconds in which the list is scrolled up and down, 40 pixels each. */
async function scrolled(time) {
  const region = document.querySelector('[data-table="topics"]')
  const tasks = []
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)))
  observer.observe({ type: "longtask" })
  const gaps = []
  let empty = 0
  const start = performance.now()
  let last = start
  let step = 40
  await new Promise((resolve) => {
    const frame = (now) => {
      gaps.push(now - last)
      last = now
      if (region.scrollTop + region.clientHeight >= region.scrollHeight - 400) step = -40
      if (region.scrollTop <= 0) step = 40
      region.scrollTop += step
      const { left, top } = region.getBoundingClientRect()
      if (!document.elementFromPoint(left + 40, top + 200)?.closest("tr[data-key]")) empty += 1
      if (now - start < time) requestAnimationFrame(frame)
      else resolve()
    }
    requestAnimationFrame(frame)
  })
  gaps.shift()
  gaps.sort((a, b) => a - b)
  const at = (part) => Math.round(gaps[Math.floor(part * (gaps.length - 1))] * 10) / 10
  return { frames: gaps.length, median: at(0.5), p95: at(0.95), p99: at(0.99), longest: at(1), empty, longTasks: tasks.map(Math.round) }
}

/** The same, with the milliseconds of processor time that the page's thread took for each frame. */
async function measured(page) {
  const taken = async () => (await page.call("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration").value
  const before = await taken()
  const frames = await page.value(scrolled, MEASURED_MS)
  return { ...frames, cpu: Math.round((((await taken()) - before) * 1e5) / frames.frames) / 100 }
}

test("the list of 10,000 topics, of which 100 change each second, scrolls as a short one does", { timeout: 90_000, skip }, async (context) => {
  const mock = await Mock.start(context, { period: 1_000 })
  const browser = await Chromium.start(context)
  const page = await browser.page(mock.url)
  const counted = (number) => [...document.querySelectorAll("nav .count")][0].innerText === number
  const topic = (number) => mock.says.topic(`prices/${String(number).padStart(6, "0")}`, { route: "prices/{symbol}" })
  for (let number = 0; number < 40; number += 1) topic(number)
  await page.until(counted, "40")
  await page.call("Performance.enable", { timeDomain: "threadTicks" })
  const short = await measured(page)
  for (let number = 40; number < TOPICS; number += 1) topic(number)
  let next = TOPICS
  mock.before = () => {
    for (let change = 0; change < 50; change += 1) {
      const { topics, prefixes } = mock.says
      const gone = Math.floor(Math.random() * topics.length)
      topics.splice(gone, 1)
      prefixes.splice(gone, 1)
      topic(next++)
    }
    for (const topic of mock.says.topics) topic.values += 7
  }
  await page.until(counted, "10,000")
  const long = await measured(page)
  context.diagnostic(`40 topics: ${JSON.stringify(short)}`)
  context.diagnostic(`${TOPICS} topics: ${JSON.stringify(long)}`)
  const rows = await page.value(() => document.querySelectorAll("#section-topics tbody:not([aria-hidden]) tr").length)
  assert.ok(rows < 100, `${rows} rows exist`)
  assert.ok(long.cpu < short.cpu * 3.5, `${long.cpu} ms for a frame, where a short list takes ${short.cpu}`)
  assert.ok(long.empty < long.frames * 0.1, `${long.empty} of ${long.frames} frames showed no row`)
  assert.deepEqual(page.errors, [])
})

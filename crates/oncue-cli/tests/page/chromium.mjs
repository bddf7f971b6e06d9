/** A headless Chromium, driven by the DevTools protocol through two pipes: it ends with them. */

import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import path from "node:path"

const program = process.env.ONCUE_CHROMIUM ?? "/usr/bin/chromium"

/** For a test's `skip`. */
export const skip = existsSync(program) ? false : `no Chromium at ${program}: install it, or set ONCUE_CHROMIUM`

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--remote-debugging-pipe",
]

export class Chromium {
  #calls = new Map()
  #number = 0
  #pages = new Map()
  #rest = ""

  /** It ends with the test. */
  static async start(test) {
    const browser = new Chromium()
    browser.profile = await mkdtemp(path.join(tmpdir(), "oncue-page-"))
    const flags = [...FLAGS, `--user-data-dir=${browser.profile}`, "about:blank"]
    browser.process = spawn(program, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] })
    browser.process.stdio[4].setEncoding("utf8").on("data", (text) => browser.#read(text))
    browser.process.stdio[3].on("error", () => {})
    browser.process.on("exit", () => browser.#exited())
    test.after(() => browser.stop())
    return browser
  }

  /** A page of this size in CSS pixels. `touch`: scroll bars as on a phone. `media`: features such as `{ "prefers-color-scheme": "dark" }`. */
  async page(url, { width = 1280, height = 800, scale = 1, media = {}, touch = false } = {}) {
    const { targetId } = await this.call("Target.createTarget", { url: "about:blank" })
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true })
    const page = new Page(this, targetId, sessionId)
    this.#pages.set(sessionId, page)
    await page.call("Runtime.enable")
    await page.call("Log.enable")
    await page.call("Page.enable")
    await page.call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: scale, mobile: touch })
    const features = Object.entries(media).map(([name, value]) => ({ name, value }))
    await page.call("Emulation.setEmulatedMedia", { features })
    const loaded = page.once("Page.loadEventFired")
    await page.call("Page.navigate", { url })
    await loaded
    return page
  }

  call(method, params = {}, sessionId = undefined) {
    this.#number += 1
    const id = this.#number
    const answer = new Promise((resolve, reject) => this.#calls.set(id, { resolve, reject, method }))
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return answer
  }

  async stop() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, "exit")
      this.process.kill("SIGKILL")
      await exited
    }
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 })
  }

  #read(text) {
    const parts = (this.#rest + text).split("\0")
    this.#rest = parts.pop()
    for (const part of parts) this.#take(JSON.parse(part))
  }

  #take({ id, result, error, method, params, sessionId }) {
    if (id === undefined) return this.#pages.get(sessionId)?.event(method, params)
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    if (error) call.reject(new Error(`${call.method}: ${error.message}`))
    else call.resolve(result)
  }

  #exited() {
    for (const { reject, method } of this.#calls.values()) reject(new Error(`${method}: Chromium has ended`))
    this.#calls.clear()
  }
}

class Page {
  /** What the page has logged as an error, or thrown. */
  errors = []
  #waiting = new Map()

  constructor(browser, targetId, sessionId) {
    Object.assign(this, { browser, targetId, sessionId })
  }

  call(method, params) {
    return this.browser.call(method, params, this.sessionId)
  }

  /** The next event of this name. */
  once(method) {
    return new Promise((resolve) => this.#waiting.set(method, resolve))
  }

  event(method, params) {
    this.#waiting.get(method)?.(params)
    if (method === "Runtime.exceptionThrown") this.errors.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text)
    // A connection that fails is logged too; the tests end some on purpose.
    if (method === "Log.entryAdded" && params.entry.level === "error" && params.entry.source !== "network") this.errors.push(params.entry.text)
  }

  /** The value of an expression, or of a function with arguments. */
  async value(what, ...values) {
    const expression = typeof what === "function" ? `(${what})(${values.map((value) => JSON.stringify(value)).join(",")})` : what
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  /** The value, once it is true. */
  async until(what, ...values) {
    const deadline = Date.now() + 15_000
    for (;;) {
      const value = await this.value(what, ...values)
      if (value) return value
      if (Date.now() > deadline) {
        const text = await this.value("document.body.innerText")
        throw new Error(`it did not become true: ${what} (${JSON.stringify(values)}); ${this.errors}; the page says:\n${text}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  async press(key, { code = key, text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined } = {}) {
    const virtual = { Enter: 13, Tab: 9, Escape: 27 }[key]
    const event = { key, code, text, windowsVirtualKeyCode: virtual }
    await this.call("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", ...event })
    await this.call("Input.dispatchKeyEvent", { type: "keyUp", ...event })
  }

  async type(text) {
    await this.call("Input.insertText", { text })
  }

  /** Turns the wheel in the middle of the page. */
  wheel(deltaY) {
    return this.call("Input.dispatchMouseEvent", { type: "mouseWheel", x: 500, y: 600, deltaX: 0, deltaY })
  }

  async screenshot(file) {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" })
    await writeFile(file, Buffer.from(data, "base64"))
  }

  close() {
    return this.browser.call("Target.closeTarget", { targetId: this.targetId })
  }
}

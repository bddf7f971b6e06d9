/** The command `oncue`, run by tests: `cargo xtask js` builds it, and says where it is. */

import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"

const program = process.env.ONCUE_BIN

/** For a test's `skip`. */
export const skip = program ? false : "ONCUE_BIN names no program: run `cargo xtask js`"

/** One run. It ends with the test. */
export class Program {
  output = ""
  errors = ""

  static start(test, args) {
    const run = new Program()
    run.process = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] })
    run.process.stdout.setEncoding("utf8").on("data", (text) => (run.output += text))
    run.process.stderr.setEncoding("utf8").on("data", (text) => (run.errors += text))
    run.process.stdin.on("error", () => {})
    test.after(() => run.stop())
    return run
  }

  /** `oncue serve` with this config. */
  static serve(test, config) {
    const directory = mkdtempSync(path.join(tmpdir(), "oncue-js-"))
    test.after(() => rmSync(directory, { recursive: true }))
    const file = path.join(directory, "serve.toml")
    writeFileSync(file, config)
    return Program.start(test, ["serve", file])
  }

  /** Where it listens over WebSocket, as it says. */
  async url() {
    const [, url] = await this.says("errors", /(ws:\/\/127\.0\.0\.1:\d+\/\S*)/)
    return url
  }

  /** The match of `pattern` in what it has printed, once it is there. */
  async says(output, pattern) {
    for (;;) {
      const match = pattern.exec(this[output])
      if (match) return match
      if (this.process.exitCode !== null) throw new Error(`it has ended with ${this.process.exitCode}: ${this.errors}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async stop() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const exited = once(this.process, "exit")
    this.process.kill("SIGTERM")
    await exited
  }
}

/**
 * Makes the screenshots of the documentation, of a real server with a few routes and subscribers, and records what it says in
 * top.jsonl, from which a test makes the one of `oncue top`:
 *
 *     ONCUE_BIN=target/debug/oncue node crates/oncue-cli/tests/page/screenshots.mjs docs/images
 *     ONCUE_WRITE_DOCS=1 cargo test -p oncue-cli --features full picture_of_the_documentation
 */

import { writeFile } from "node:fs/promises"
import path from "node:path"

import { NodeWebSocket, Subscriber } from "../../../../clients/js/node.js"
import { Program } from "../../../../clients/js/test/program.js"
import { Chromium } from "./chromium.mjs"

const PRICES = `
import math, random, sys, threading, time
wanted = set()
def produce():
    while True:
        time.sleep(0.02)
        for topic in list(wanted):
            if random.random() < (hash(topic) % 97 + 3) / 300 * (1 + 0.9 * math.sin(time.time() / (hash(topic) % 7 + 3))):
                print(topic, random.random(), sep="\\t", flush=True)
threading.Thread(target=produce, daemon=True).start()
for line in sys.stdin:
    (wanted.add if line[0] == "+" else wanted.discard)(line[1:].strip())
`
const CONFIG = `
  bind = "ws://127.0.0.1:0"
  http = "127.0.0.1:0"
  grace = "1s"
  [[route]]
  topic = "prices/{symbol:word}"
  command = ["python3", "-c", ${JSON.stringify(PRICES)}]
  mode = "shared"
  [[route]]
  topic = "host/load"
  file = "/proc/loadavg"
  mode = "content"
  every = "1s"
  [[route]]
  topic = "clock/{zone:word}"
  command = ["date", "+%T"]
  every = "500ms"
  catalogue = ["clock/local", "clock/rome", "clock/utc", "clock/tokyo"]
  [[route]]
  topic = "sensor/{n:int}"
  command = ["false"]
  every = "1s"`
const SYMBOLS = "ACME AERO BOLT CEDR DELT ECHO FERN GIGA HELI IRIS JADE KITE LUMA MONO NOVA".split(" ")
/** So much of the minute's line is to be seen. */
const WATCHED_MS = 40_000
/** How many seconds of the server's values `oncue top` draws. */
const RECORDED = 26
const RECORDING_MS = 28_000

const ends = []
const context = { after: (end) => ends.unshift(end) }
const folder = process.argv[2]
const program = Program.serve(context, CONFIG)
const server = await program.url()
const subscribers = [
  ["host/load", "prices/ACME", "prices/BOLT", "sensor/7"],
  ["clock/utc", ...SYMBOLS.map((symbol) => `prices/${symbol}`)],
  ["prices/NOVA", "prices/KITE", "weather/"],
  ["clock/utc", "clock/local"],
].map((topics) => new Subscriber(server, { topics, whenFull: "latest", WebSocket: NodeWebSocket }))
context.after(() => Promise.all(subscribers.map((subscriber) => subscriber.close())))
const [, url] = await program.says("errors", /page at (http:\S+)/)
const top = Program.start(context, ["top", server, "--json"])
const browser = await Chromium.start(context)
const PAGES = {
  "page-light": [{ width: 1100, height: 720 }, "#topics"],
  "page-dark": [{ width: 1100, height: 720, media: { "prefers-color-scheme": "dark" } }, "#routes"],
  "page-phone": [{ width: 360, height: 720, scale: 1.5, touch: true }, "#topics"],
}
/** Records what the server has said: its counts, and all of it for the last two seconds, from which rates come. */
async function record() {
  const lines = top.output.trim().split("\n").slice(-RECORDED)
  const kept = lines.map((line, at) => {
    const { stats, ...others } = JSON.parse(line)
    return JSON.stringify(at < lines.length - 2 ? { stats } : { stats, ...others })
  })
  await writeFile(path.join(folder, "top.jsonl"), `${kept.join("\n")}\n`)
  await top.stop()
}
const recording = new Promise((resolve) => setTimeout(resolve, RECORDING_MS)).then(record)

// One after the other: a page in the background wants nothing.
for (const [name, [options, section]] of Object.entries(PAGES)) {
  const page = await browser.page(url + section, options)
  await new Promise((resolve) => setTimeout(resolve, WATCHED_MS))
  await page.screenshot(path.join(folder, `${name}.png`))
  await page.close()
}
await recording
for (const end of ends) await end()

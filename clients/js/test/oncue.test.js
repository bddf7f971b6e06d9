/** The subscriber against the command `oncue`. */

import assert from "node:assert/strict"
import { once } from "node:events"
import { test as anyTest } from "node:test"

import { NodeWebSocket, Subscriber } from "../node.js"
import { Program, skip } from "./program.js"

const test = (name, body) => anyTest(name, { skip, timeout: 30_000 }, body)

for (const WebSocket of [NodeWebSocket, globalThis.WebSocket].filter(Boolean)) {
  const name = WebSocket === NodeWebSocket ? "its own WebSocket" : "Node's WebSocket"

  test(`a publisher sees the true demand, and its messages come, ${name}`, async (context) => {
    const publisher = Program.start(context, ["pub", "ws://127.0.0.1:0"])
    const subscriber = new Subscriber(await publisher.url(), { WebSocket, topics: ["a"] })
    context.after(() => subscriber.close())
    await publisher.says("output", /^\+a$/m)
    publisher.process.stdin.write("a/1\thello\nb/1\tnobody wants it\n")
    const { value } = await subscriber.next()
    assert.deepEqual([value.topic, value.text(), value.frames.length], ["a/1", "hello", 2])
    subscriber.subscribe("a").subscribe("b")
    await publisher.says("output", /^\+b$/m)
    subscriber.unsubscribe("a")
    subscriber.unsubscribe("b")
    await publisher.says("output", /^-b$/m)
    assert.doesNotMatch(publisher.output, /^-a$/m)
    publisher.process.stdin.write(`a/2\t${"x".repeat(300_000)}\n`)
    assert.equal((await subscriber.next()).value.frames[1].length, 300_000)
    await subscriber.close()
    await publisher.says("output", /^-a$/m)
    assert.equal(subscriber.counts.filtered, 0)
  })

  test(`a publisher that comes back is subscribed to again, ${name}`, async (context) => {
    const first = Program.start(context, ["pub", "ws://127.0.0.1:0"])
    const url = await first.url()
    const subscriber = new Subscriber(url, { WebSocket, topics: ["a"], reconnectMinMs: 20, reconnectMaxMs: 100 })
    context.after(() => subscriber.close())
    await first.says("output", /^\+a$/m)
    await first.stop()
    while (subscriber.state.name !== "closed") await once(subscriber, "state")
    const second = Program.start(context, ["pub", url])
    await second.says("output", /^\+a$/m)
    second.process.stdin.write("a\tback\n")
    assert.equal((await subscriber.next()).value.text(), "back")
  })
}

test("a value is produced while it is subscribed to, and what the server says of itself has its schema", async (context) => {
  const config = `
    bind = "ws://127.0.0.1:0"
    grace = "50ms"
    [[route]]
    topic = "word/{word:word}"
    command = ["echo", "{word}"]
    every = "50ms"`
  const url = await Program.serve(context, config).url()
  const watcher = new Subscriber(url, { topics: ["$oncue/stats", "$oncue/demand"], whenFull: "latest" })
  context.after(() => watcher.close())
  const told = async (name, what) => {
    for await (const message of watcher) if (message.topic === `$oncue/${name}` && what(message.json())) return message.json()
  }
  assert.equal((await told("stats", () => true)).running, 0)
  const subscriber = new Subscriber(url, { topics: ["word/hello"] })
  assert.equal((await subscriber.next()).value.text().trim(), "hello")
  const { topics } = await told("demand", ({ topics }) => topics.length > 0)
  assert.deepEqual([topics[0].topic, topics[0].route, topics[0].subscribers], ["word/hello", "word/{word:word}", 1])
  await subscriber.close()
  await told("stats", ({ running }) => running === 0)
})

test("a server that is not for browsers says why", async (context) => {
  const publisher = Program.start(context, ["pub", "ws://127.0.0.1:0/events"])
  const url = await publisher.url()
  const subscriber = new Subscriber(url.replace("/events", "/other"), { WebSocket: NodeWebSocket, reconnect: false })
  await assert.rejects(subscriber.next(), { message: /404 Not Found: nothing is at \/other; ZeroMQ is at \/events/ })
})

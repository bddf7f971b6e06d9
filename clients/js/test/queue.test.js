/** What happens to messages that the application does not read in time. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { NodeWebSocket, Subscriber } from "../node.js"
import { Server, message } from "./server.js"

/** Sends all messages to a subscriber that reads none, and returns it when it has received them. */
async function flooded(context, options, messages) {
  const server = await Server.start(context)
  const subscriber = new Subscriber(server.url, { WebSocket: NodeWebSocket, topics: [""], ...options })
  context.after(() => subscriber.close())
  const peer = await (await server.peer()).accept()
  peer.send(...messages)
  while (subscriber.counts.received < messages.length) await new Promise(setImmediate)
  return { subscriber, peer }
}

/** Reads all that waits, as texts. */
async function drained(subscriber) {
  const texts = []
  while (subscriber.counts.waiting > 0) {
    const { value } = await subscriber.next()
    texts.push(value.frames.map((_, at) => value.text(at)).join(" "))
  }
  return texts
}

const numbered = (count) => Array.from({ length: count }, (_, at) => message("n", `${at}`))

test("drop-oldest keeps the newest, and counts what it drops", async (context) => {
  const { subscriber } = await flooded(context, { queueMessagesMax: 3 }, numbered(10))
  assert.equal(subscriber.counts.dropped, 7)
  assert.deepEqual(await drained(subscriber), ["n 7", "n 8", "n 9"])
})

test("drop-newest keeps the oldest, and takes others when there is room again", async (context) => {
  const { subscriber, peer } = await flooded(context, { queueMessagesMax: 3, whenFull: "drop-newest" }, numbered(10))
  assert.equal(subscriber.counts.dropped, 7)
  assert.equal((await subscriber.next()).value.text(), "0")
  peer.send(message("n", "10"))
  while (subscriber.counts.received < 11) await new Promise(setImmediate)
  assert.deepEqual(await drained(subscriber), ["n 1", "n 2", "n 10"])
})

test("latest keeps the newest of each topic, in the order in which topics began to wait", async (context) => {
  const sent = [message("a", "1"), message("b", "1"), message("a", "2"), message("c", "1"), message("b", "2"), message("a", "3")]
  const { subscriber, peer } = await flooded(context, { whenFull: "latest", queueMessagesMax: 3 }, sent)
  assert.equal(subscriber.counts.dropped, 3)
  assert.deepEqual(await drained(subscriber), ["a 3", "b 2", "c 1"])
  peer.send(...["a", "b", "c", "d", "d"].map((topic) => message(topic, "4")))
  while (subscriber.counts.received < 11) await new Promise(setImmediate)
  assert.deepEqual(await drained(subscriber), ["b 4", "c 4", "d 4"])
  assert.deepEqual(subscriber.counts, { received: 11, filtered: 0, connections: 1, dropped: 5, waiting: 0, waitingBytes: 0 })
})

test("the bytes are bounded too, and one message alone may exceed them", async (context) => {
  const long = (at) => message("n", `${at}${"x".repeat(40)}`)
  for (const [whenFull, kept] of [["drop-oldest", ["8", "9"]], ["drop-newest", ["0", "1"]]]) {
    const { subscriber } = await flooded(context, { queueBytesMax: 100, whenFull }, Array.from({ length: 10 }, (_, at) => long(at)))
    assert.equal(subscriber.counts.waitingBytes, 84)
    assert.deepEqual((await drained(subscriber)).map((text) => text[2]), kept)
    assert.equal(subscriber.counts.waitingBytes, 0)
  }
  const { subscriber } = await flooded(context, { queueBytesMax: 100 }, [message("n", "x".repeat(500))])
  assert.equal((await drained(subscriber))[0].length, 502)
})

test("many messages through a queue are each read once, in order", async (context) => {
  const messages = numbered(5_000)
  const { subscriber } = await flooded(context, { queueMessagesMax: 5_000 }, messages)
  assert.deepEqual(await drained(subscriber), messages.map((_, at) => `n ${at}`))
})

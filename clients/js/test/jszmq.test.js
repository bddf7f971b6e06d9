/** The subscriber against jszmq, the other ZeroMQ of browsers, in both of its publishing sockets. */

import assert from "node:assert/strict"
import { once } from "node:events"
import http from "node:http"
import { test } from "node:test"

import { NodeWebSocket, Subscriber } from "../node.js"
import { load, skip } from "./modules.js"

/** A bound socket of jszmq, and its URL. It ends with the test. */
async function bound(context, kind, { port = 0 } = {}) {
  const { [kind]: Socket } = load("jszmq")
  const server = http.createServer()
  server.listen(port, "127.0.0.1")
  await once(server, "listening")
  const url = `ws://127.0.0.1:${server.address().port}/events`
  const socket = new Socket()
  socket.bind(url, server)
  const stop = async () => {
    socket.close()
    server.closeAllConnections()
    server.close()
    if (server.listening) await once(server, "close")
  }
  context.after(stop)
  return { socket, server, url, stop }
}

/** The package `ws` comes with jszmq. */
const WEBSOCKETS = { "its own WebSocket": NodeWebSocket, "Node's WebSocket": globalThis.WebSocket, "that of ws": skip ? undefined : load("ws") }

for (const [name, WebSocket] of Object.entries(WEBSOCKETS)) {
  if (!WebSocket) continue
  const options = { skip, timeout: 10_000 }

  test(`an XPub of jszmq sees subscriptions and cancels, ${name}`, options, async (context) => {
    const { socket, url } = await bound(context, "XPub")
    const told = []
    let wake = () => {}
    socket.on("message", (bytes) => {
      told.push(`${bytes[0] ? "+" : "-"}${bytes.subarray(1)}`)
      wake()
    })
    const tells = async (count) => {
      while (told.length < count) await new Promise((resolve) => (wake = resolve))
    }
    const subscriber = new Subscriber(url, { WebSocket, topics: ["a"] })
    await tells(1)
    socket.send(["a/1", "first", ""])
    socket.send(["b/1", "nobody wants it"])
    const { value } = await subscriber.next()
    assert.deepEqual([value.topic, value.text(1), value.text(2), value.frames.length], ["a/1", "first", "", 3])
    subscriber.subscribe("b")
    await tells(2)
    subscriber.unsubscribe("a")
    await tells(3)
    const large = Buffer.alloc(1 << 20, 7)
    socket.send(["b/2", large])
    const next = (await subscriber.next()).value
    assert.ok(large.equals(next.frames[1]))
    await subscriber.close()
    await tells(4)
    assert.deepEqual(told, ["+a", "+b", "-a", "-b"])
  })

  test(`a Pub of jszmq that comes back is subscribed to again, ${name}`, options, async (context) => {
    const first = await bound(context, "Pub")
    const subscriber = new Subscriber(first.url, { WebSocket, topics: ["t"], reconnectMinMs: 5 })
    context.after(() => subscriber.close())
    const received = async ({ socket }) => {
      const timer = setInterval(() => socket.send(["t", "value"]), 5)
      await subscriber.next()
      clearInterval(timer)
    }
    await received(first)
    const { port } = first.server.address()
    await first.stop()
    while (subscriber.state.name !== "closed") await once(subscriber, "state")
    await received(await bound(context, "Pub", { port }))
    assert.equal(subscriber.counts.connections, 2)
  })
}

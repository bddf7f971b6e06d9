/** The subscriber against a scripted server, with each WebSocket that this Node has. */

import assert from "node:assert/strict"
import { getEventListeners, once } from "node:events"
import { describe, test as anyTest } from "node:test"

import { ConnectionError, NodeWebSocket, Subscriber } from "../node.js"
import { Subscriber as Portable } from "../oncue.js"
import { Server, bytes, frame, message } from "./server.js"

const WEBSOCKETS = { "its own WebSocket": NodeWebSocket, "Node's WebSocket": globalThis.WebSocket }
const QUICK = { reconnectMinMs: 5, reconnectMaxMs: 20 }

const test = (name, body) => anyTest(name, { timeout: 10_000 }, body)

/** Waits for a state of this name. */
async function reached(subscriber, name) {
  while (subscriber.state.name !== name) await once(subscriber, "state")
  return subscriber.state
}

/** Waits for `what` to hold, looking again after each event of the loop. */
async function until(what) {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 1))
}

for (const [name, WebSocket] of Object.entries(WEBSOCKETS)) {
  if (!WebSocket) continue
  describe(name, () => {
    /** A subscriber whose connection a server has accepted. */
    async function connected(context, options = {}) {
      const server = await Server.start(context)
      const subscriber = new Subscriber(server.url, { WebSocket, ...QUICK, ...options })
      context.after(() => subscriber.close())
      const peer = await server.peer()
      await peer.accept()
      await reached(subscriber, "open")
      return { server, subscriber, peer }
    }

    test("it begins with its routing id and what is subscribed, masked, in whole binary messages", async (context) => {
      const { peer } = await connected(context, { topics: ["a", new Uint8Array([0, 200, 255])] })
      await peer.until(() => peer.frames.length === 3)
      const expected = [bytes(0), bytes(0, 1, "a"), bytes(0, 1, 0, 200, 255)]
      assert.deepEqual(peer.frames, expected.map((payload) => ({ opcode: 2, payload, masked: true })))
      assert.match(peer.head, /^GET \/ HTTP\/1\.1/)
      assert.match(peer.head, /sec-websocket-protocol: ZWS2\.0(\r\n|$)/i)
    })

    test("a message has its topic, its frames, and their text and JSON", async (context) => {
      const { subscriber, peer } = await connected(context, { topics: ["Zürich"] })
      peer.send(message("Zürich/1", '{"a":[1]}', "", bytes(0, 255)))
      const { value } = await subscriber.next()
      assert.equal(value.topic, "Zürich/1")
      assert.deepEqual(value.json(), { a: [1] })
      assert.equal(value.text(2), "")
      assert.deepEqual(value.frames[3], new Uint8Array([0, 255]))
      assert.throws(() => value.text(4), /no frame 4: it has 4/)
      assert.throws(() => value.json(2), SyntaxError)
    })

    test("fragments, large messages and commands between them", async (context) => {
      const { subscriber, peer } = await connected(context, { topics: [""] })
      const large = Buffer.alloc(1 << 20, "x")
      const parts = bytes(0, "late")
      peer.send(
        frame(bytes(2, 4, "PING"), {}),
        frame(parts.subarray(0, 1), { final: false }),
        frame("", { opcode: 9 }),
        frame(parts.subarray(1, 3), { opcode: 0, final: false }),
        frame(parts.subarray(3), { opcode: 0 }),
        message("large", large),
      )
      assert.equal((await subscriber.next()).value.topic, "late")
      const { frames } = (await subscriber.next()).value
      assert.ok(large.equals(frames[1]))
      await peer.until(() => peer.frames.some(({ opcode }) => opcode === 10))
    })

    test("a topic is subscribed once and cancelled with the last of its subscriptions", async (context) => {
      const { subscriber, peer } = await connected(context)
      subscriber.subscribe("a").subscribe("a").subscribe("b")
      assert.equal(subscriber.unsubscribe("a"), true)
      assert.equal(subscriber.unsubscribe("b"), true)
      assert.equal(subscriber.unsubscribe("b"), false)
      assert.equal(subscriber.unsubscribe("a"), true)
      assert.equal(subscriber.unsubscribe("never"), false)
      subscriber.subscribe("end")
      await peer.until(() => peer.wanted.has("end"))
      assert.deepEqual(peer.demand, ["+a", "+b", "-b", "-a", "+end"])
    })

    test("what is not subscribed to is filtered, and what waits of a cancelled topic is discarded", async (context) => {
      const { subscriber, peer } = await connected(context, { topics: ["ab", "abcd", "x"] })
      peer.send(message("a"), message("ab"), message("abc"), message("b"), message("x"))
      await until(() => subscriber.counts.received === 5)
      assert.equal(subscriber.counts.filtered, 2)
      subscriber.unsubscribe("ab")
      assert.equal((await subscriber.next()).value.topic, "x")
    })

    test("after a reconnect it subscribes again, to what was added meanwhile too", async (context) => {
      const { server, subscriber, peer } = await connected(context, { topics: ["a", "gone"] })
      await peer.until(() => peer.wanted.size === 2)
      const states = []
      subscriber.addEventListener("state", () => states.push(subscriber.state))
      peer.cut()
      await reached(subscriber, "closed")
      assert.match(subscriber.state.reason, /lost|ECONNRESET/)
      assert.ok(subscriber.state.retryMs > 0)
      subscriber.unsubscribe("gone")
      subscriber.subscribe("b")
      const again = await (await server.peer()).accept()
      await again.until(() => again.wanted.size === 2)
      assert.deepEqual(again.demand, ["+a", "+b"])
      again.send(message("a/1"))
      assert.equal((await subscriber.next()).value.topic, "a/1")
      assert.deepEqual(states.map(({ name }) => name), ["closed", "connecting", "open"])
      assert.equal(subscriber.counts.connections, 2)
    })

    test("half a message of a lost connection is not joined with the next", async (context) => {
      const { server, subscriber, peer } = await connected(context, { topics: [""] })
      peer.send(frame(bytes(1, "half")))
      peer.send(frame("", { opcode: 8 }))
      peer.socket.end()
      const again = await (await server.peer()).accept()
      again.send(message("whole", "1"))
      const { value } = await subscriber.next()
      assert.equal(value.topic, "whole")
      assert.equal(value.frames.length, 2)
    })

    const BROKEN = {
      "a text": [frame("hello", { opcode: 1 }), /text/],
      "a message without flags": [frame(""), /empty/],
      "unknown flags": [frame(bytes(4, "x")), /unknown flags 4/],
      "a masked frame": [frame(bytes(0, 1, 2, 3, 4), { mask: 0x80 }), /mask|lost|1002/i],
      "reserved bits": [frame(bytes(0), { first: 0xc2 }), /reserved|lost|1002|rsv/i],
      "a fragment of nothing": [frame(bytes(0), { opcode: 0 }), /fragment|continuation|lost|1002/i],
      "too many frames": [message(...Array(6).fill("a")), /messageFramesMax, 5/],
      "too many bytes": [message("a".repeat(600), "b".repeat(600)), /messageBytesMax, 1000/],
    }
    for (const [what, [sent, reason]] of Object.entries(BROKEN)) {
      test(`a server that sends ${what} is left, and dialled again`, async (context) => {
        const { server, subscriber, peer } = await connected(context, { topics: [""], messageFramesMax: 5, messageBytesMax: 1000 })
        peer.send(sent)
        assert.match((await reached(subscriber, "closed")).reason, reason)
        const again = await (await server.peer()).accept()
        again.send(message("fine"))
        assert.equal((await subscriber.next()).value.topic, "fine")
      })
    }

    test("bytes drawn at random end a connection at worst", async (context) => {
      const { server, subscriber, peer } = await connected(context, { topics: [""] })
      const seed = Number(process.env.ONCUE_SEED ?? Math.floor(Math.random() * 2 ** 32))
      context.diagnostic(`ONCUE_SEED=${seed}`)
      let state = seed
      const draw = (below) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % below
      let to = peer
      for (let round = 0; round < 100; round += 1) {
        if (to.ended || subscriber.state.name !== "open") {
          to = await (await server.peer()).accept()
          await reached(subscriber, "open")
        }
        const garbage = Buffer.from(Array.from({ length: draw(40) }, () => draw(256)))
        to.send(draw(2) ? frame(garbage) : garbage)
        await new Promise(setImmediate)
      }
      to.cut()
      await until(() => server.peers.at(-1) !== to)
      const last = server.peers.at(-1)
      await last.accept()
      last.send(message("the end"))
      for await (const { topic } of subscriber) if (topic === "the end") break
    })

    const REFUSALS = {
      "another subprotocol": [(peer) => peer.accept({ protocol: "foo" }), /./],
      "no subprotocol": [(peer) => peer.accept({ protocol: "" }), /./],
      "a READY": [(peer) => peer.accept({ after: frame(bytes(2, 5, "READY")) }), /ZWS2\.0\/NULL/],
      "no routing id": [(peer) => peer.accept({ after: frame(bytes(1, "a")) }), /routing id/],
      "HTTP 403": [(peer) => peer.send(bytes("HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\norigin!")), /./],
      "something else": [(peer) => peer.send(bytes("220 mail.example ESMTP\r\n\r\n")), /./],
      "nothing": [() => {}, /within 200 ms/],
    }
    for (const [what, [answer, reason]] of Object.entries(REFUSALS)) {
      test(`a server that answers with ${what} gives a reason`, async (context) => {
        const server = await Server.start(context)
        const subscriber = new Subscriber(server.url, { WebSocket, reconnect: false, connectTimeoutMs: 200 })
        answer(await server.peer())
        await assert.rejects(subscriber.next(), (error) => error instanceof ConnectionError && reason.test(error.message))
        assert.deepEqual(subscriber.state, { name: "closed", reason: subscriber.state.reason, retryMs: undefined })
        assert.match(subscriber.state.reason, reason)
        assert.throws(() => subscriber.subscribe("a"), /closed/)
        await server.peers[0].end()
      })
    }

    test("an address where nothing listens is dialled until something does", async (context) => {
      const probe = await Server.start(context)
      const { port } = probe
      await probe.stop()
      const subscriber = new Subscriber(`ws://127.0.0.1:${port}/`, { WebSocket, ...QUICK, topics: ["a"] })
      context.after(() => subscriber.close())
      await reached(subscriber, "closed")
      const server = await Server.start(context, { port })
      const peer = await (await server.peer()).accept()
      await peer.until(() => peer.wanted.has("a"))
    })

    test("the pause before each attempt doubles up to its bound, with jitter, and begins anew after a second", async (context) => {
      const server = await Server.start(context)
      const options = { WebSocket, reconnectMinMs: 16, reconnectMaxMs: 100 }
      const subscriber = new Subscriber(server.url, options)
      context.after(() => subscriber.close())
      const pauses = []
      for (const longest of [16, 32, 64, 100, 100, 100]) {
        ;(await server.peer()).cut()
        const { retryMs } = await reached(subscriber, "closed")
        assert.ok(retryMs >= longest / 2 && retryMs <= longest, `${retryMs} of ${longest}`)
        pauses.push(longest - retryMs)
        await reached(subscriber, "connecting")
      }
      assert.ok(pauses.some((jitter) => jitter > 0))
      const peer = await (await server.peer()).accept()
      await reached(subscriber, "open")
      await new Promise((resolve) => setTimeout(resolve, 1_100))
      peer.cut()
      assert.ok((await reached(subscriber, "closed")).retryMs <= 16)
    })

    test("a closed subscriber does not dial again, and leaves nothing at its signal", async (context) => {
      const server = await Server.start(context)
      const { signal } = new AbortController()
      const subscriber = new Subscriber(server.url, { WebSocket, signal, reconnectMinMs: 50 })
      assert.equal(getEventListeners(signal, "abort").length, 1)
      ;(await server.peer()).cut()
      await reached(subscriber, "closed")
      await subscriber.close()
      assert.equal(getEventListeners(signal, "abort").length, 0)
      await new Promise((resolve) => setTimeout(resolve, 150))
      assert.equal(server.peers.length, 1)
      assert.deepEqual(subscriber.state.reason, "closed by this side")
    })

    test("a server that is silent for too long is left", async (context) => {
      const { server, subscriber, peer } = await connected(context, { topics: [""], silenceMs: 150 })
      for (let tick = 0; tick < 5; tick += 1) {
        peer.send(message("tick"))
        await subscriber.next()
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.equal(subscriber.state.name, "open")
      assert.match((await reached(subscriber, "closed")).reason, /silent for 150 ms/)
      await server.peer()
    })

    test("what waits when a connection ends for good is still read", async (context) => {
      const { subscriber, peer } = await connected(context, { topics: [""], reconnect: false })
      peer.send(message("a"), message("b"), frame(bytes(3, 232, "bye"), { opcode: 8 }))
      peer.socket.end()
      await reached(subscriber, "closed")
      const topics = []
      await assert.rejects(
        async () => {
          for await (const { topic } of subscriber) topics.push(topic)
        },
        { name: "ConnectionError", message: "the server closed the connection (1000: bye)" },
      )
      assert.deepEqual(topics, ["a", "b"])
    })

    test("close cancels what is subscribed, says goodbye, and ends the iteration", async (context) => {
      const { subscriber, peer } = await connected(context, { topics: ["a", "b"] })
      peer.send(message("a"))
      await until(() => subscriber.counts.waiting === 1)
      const closing = subscriber.close()
      assert.deepEqual({ ...subscriber.state }, { name: "closed", reason: "closed by this side", retryMs: undefined })
      assert.deepEqual(await subscriber.next(), { done: true, value: undefined })
      await peer.until(() => peer.frames.at(-1)?.opcode === 8)
      assert.deepEqual(peer.demand, ["+a", "+b", "-a", "-b"])
      assert.equal(peer.frames.at(-1).payload.readUInt16BE(0), 1000)
      await closing
      assert.equal(subscriber.close(), subscriber.close())
    })

    test("close does not wait long for a server that does not answer", async (context) => {
      const { subscriber, peer } = await connected(context)
      peer.answersClose = false
      const start = performance.now()
      await subscriber.close()
      const took = performance.now() - start
      assert.ok(took < 3_000, `${took} ms`)
      peer.cut()
    })

    test("an aborted signal closes it, in every state", async (context) => {
      const { server, subscriber, peer } = await connected(context)
      const waits = subscriber.next()
      const aborts = new AbortController()
      const second = new Subscriber(server.url, { WebSocket, signal: aborts.signal })
      aborts.abort()
      assert.deepEqual(await second.next(), { done: true, value: undefined })
      const third = new Subscriber(server.url, { WebSocket, signal: aborts.signal })
      assert.equal(third.state.name, "closed")
      peer.send(frame(""))
      await reached(subscriber, "closed")
      await subscriber.close()
      assert.deepEqual(await waits, { done: true, value: undefined })
    })

    test("while the server does not read, changes of subscriptions cancel each other out", async (context) => {
      const { subscriber, peer } = await connected(context, { sendBytesMax: 1 << 20 })
      await peer.until(() => peer.frames.length === 1)
      peer.socket.pause()
      const topic = (number) => `${number}/${"x".repeat(60_000)}`
      for (let number = 0; number < 200; number += 1) subscriber.subscribe(topic(number))
      for (let number = 100; number < 200; number += 1) subscriber.unsubscribe(topic(number))
      subscriber.subscribe("end")
      peer.socket.resume()
      await peer.until(() => peer.wanted.has("end"))
      assert.equal(peer.wanted.size, 101)
      assert.ok(peer.demand.length < 301, `${peer.demand.length} changes were sent`)
    })
  })
}

describe("where there is no WebSocket", () => {
  test("node.js brings its own, and oncue.js says so", async (context) => {
    const { WebSocket } = globalThis
    context.after(() => (globalThis.WebSocket = WebSocket))
    globalThis.WebSocket = undefined
    const server = await Server.start(context)
    assert.throws(() => new Portable(server.url), { name: "TypeError", message: /import node\.js in place of oncue\.js/ })
    const subscriber = new Subscriber(server.url, { topics: ["a"] })
    context.after(() => subscriber.close())
    const peer = await (await server.peer()).accept()
    await peer.until(() => peer.wanted.has("a"))
  })
})

describe("without a server", () => {
  const refused = (url, options, message) => assert.throws(() => new Subscriber(url, options), { message })

  test("wrong arguments are refused with what is right", () => {
    refused("tcp://127.0.0.1:1", {}, /begins with ws:\/\//)
    refused("nonsense", {}, /is not a URL/)
    refused("ws://127.0.0.1:1", { queueMessageMax: 5 }, /`queueMessageMax` is not an option; there are topics, queueMessagesMax/)
    refused("ws://127.0.0.1:1", { queueMessagesMax: 0 }, /a number from 1, not 0/)
    refused("ws://127.0.0.1:1", { queueMessagesMax: "9" }, /a number from 1, not 9/)
    refused("ws://127.0.0.1:1", { whenFull: "wait" }, /drop-oldest, drop-newest, latest/)
    refused("ws://127.0.0.1:1", { topics: [7] }, /string or a Uint8Array, not number/)
  })
})

/** The WebSocket of node-websocket.js: what a server's wrong answers are called, and its bounds. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { NodeWebSocket } from "../node.js"
import { Server, bytes, frame } from "./server.js"

/** What came of a connection: its events, until it is closed. */
async function played(context, script, { url, maxPayload, protocols = ["ZWS2.0"] } = {}) {
  const server = await Server.start(context)
  const events = []
  const socket = new NodeWebSocket(url ?? server.url, protocols, { maxPayload })
  const closed = new Promise((resolve) => (socket.onclose = resolve))
  socket.onopen = () => events.push("open")
  socket.onmessage = ({ data }) => events.push(data)
  socket.onerror = ({ message }) => events.push(`error: ${message}`)
  if (!url) await script(await server.peer(), socket)
  const { code, reason } = await closed
  return { events, code, reason, peer: server.peers[0] }
}

const ANSWERS = {
  "HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\nthis origin is unknown": "the server refused: 403 Forbidden: this origin is unknown",
  "HTTP/1.1 404 Not Found\r\n\r\n": "the server refused: 404 Not Found",
  "HTTP/1.1 401 Unauthorized\r\nContent-Length: 900\r\n\r\na token": "the server refused: 401 Unauthorized: a token",
  "220 mail.example ESMTP\r\n\r\n": "the server does not speak HTTP/1.1",
  "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n": "the server's answer to the key is wrong",
  [`HTTP/1.1 200 ${"x".repeat(17_000)}`]: "the head of the server's response is too long",
  "": "the server closed the connection without an answer",
}
for (const [answer, error] of Object.entries(ANSWERS)) {
  test(`it names what was wrong: ${error}`, async (context) => {
    const { events, code } = await played(context, async (peer) => {
      await peer.until(() => peer.head)
      peer.socket.end(answer)
    })
    assert.deepEqual(events, [`error: ${error}`])
    assert.equal(code, 1006)
  })
}

test("a subprotocol that was not offered, or none, is refused", async (context) => {
  for (const [protocol, name] of [["foo", "`foo`"], ["", "none"]]) {
    const { events } = await played(context, (peer) => peer.accept({ protocol }))
    assert.deepEqual(events, [`error: the server selected ${name} of the offered ZWS2.0`])
  }
})

test("an extension that was not offered is refused", async (context) => {
  const { events } = await played(context, (peer) => peer.accept({ fields: "Sec-WebSocket-Extensions: permessage-deflate\r\n" }))
  assert.deepEqual(events, ["error: the server uses an extension that was not offered"])
})

test("an address where nothing listens is named", async (context) => {
  const { events } = await played(context, undefined, { url: "ws://127.0.0.1:1/" })
  assert.deepEqual(events, ["error: 127.0.0.1:1 refuses the connection: nothing listens there"])
})

test("a message beyond the bound is refused before it is there", async (context) => {
  const { events, peer } = await played(context, (peer) => peer.accept({ after: bytes(0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0) }))
  assert.deepEqual(events, ["open", `error: a message is longer than ${64 << 20} bytes`])
  assert.equal(peer.frames.at(-1).payload.readUInt16BE(0), 1009)
  const parts = Buffer.concat([frame("12345", { final: false }), frame("67890", { opcode: 0, final: false }), frame("1", { opcode: 0 })])
  const second = await played(context, (peer) => peer.accept({ after: parts }), { maxPayload: 10 })
  assert.deepEqual(second.events, ["open", "error: a message is longer than 10 bytes"])
})

test("pings are answered with their payload, and both kinds of messages are given", async (context) => {
  const { events, code, reason, peer } = await played(context, async (peer) => {
    await peer.accept({ after: Buffer.concat([frame("hello", { opcode: 9 }), frame("Zürich", { opcode: 1 }), frame(bytes(1, 2))]) })
    await peer.until(() => peer.frames.length === 1)
    peer.send(frame(bytes(0x0f, 0xa0, "over"), { opcode: 8 }))
  })
  assert.deepEqual(events, ["open", "Zürich", Uint8Array.of(1, 2).buffer])
  assert.deepEqual({ code, reason }, { code: 4000, reason: "over" })
  assert.deepEqual(peer.frames[0], { opcode: 10, payload: Buffer.from("hello"), masked: true })
  assert.equal(peer.frames[1].opcode, 8)
})

test("a message in fragments without end is refused", async (context) => {
  const first = frame("", { final: false })
  const others = Buffer.concat(Array(65_536).fill(frame("", { opcode: 0, final: false })))
  const { events } = await played(context, (peer) => peer.accept({ after: Buffer.concat([first, others]) }))
  assert.deepEqual(events, ["open", "error: a message has more than 65536 fragments"])
})

test("pings of a server that does not read are not all answered", async (context) => {
  const pings = 200_000
  const { events, peer } = await played(context, async (peer, socket) => {
    await peer.accept()
    await peer.until(() => peer.head)
    peer.socket.pause()
    peer.send(Buffer.concat(Array(pings).fill(frame("x".repeat(125), { opcode: 9 }))), frame("the end"))
    await new Promise((resolve) => (socket.onmessage = resolve))
    peer.socket.resume()
    socket.close()
  })
  assert.deepEqual(events, ["open"])
  assert.ok(peer.frames.length < pings, `${peer.frames.length} answers`)
})

test("a server that does not answer a close is left after a second", async (context) => {
  const { code, peer } = await played(context, async (peer, socket) => {
    peer.answersClose = false
    socket.onopen = () => socket.close()
    await peer.accept()
    await peer.end()
  })
  assert.equal(code, 1006)
  assert.equal(peer.frames.at(-1).opcode, 8)
})

test("a text that is not UTF-8 ends the connection", async (context) => {
  const { events, peer } = await played(context, (peer) => peer.accept({ after: frame(bytes(255), { opcode: 1 }) }))
  assert.deepEqual(events, ["open", "error: the server sent a text that is not UTF-8"])
  assert.equal(peer.frames.at(-1).payload.readUInt16BE(0), 1007)
})

test("long messages are sent whole and masked", async (context) => {
  const sent = [125, 126, 65_535, 65_536, 300_000].map((length) => Buffer.alloc(length, "y"))
  const { peer } = await played(context, async (peer, socket) => {
    socket.onopen = () => sent.forEach((payload) => socket.send(payload))
    await peer.accept()
    await peer.until(() => peer.frames.length === sent.length)
    socket.close(1000, "done")
  })
  sent.forEach((payload, at) => assert.ok(payload.equals(peer.frames[at].payload) && peer.frames[at].masked))
  assert.deepEqual(peer.frames.at(-1).payload, bytes(3, 232, "done"))
})

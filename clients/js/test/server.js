/**
 * A scripted WebSocket server: it does what a test tells it, byte for byte, whether that is right or wrong.
 */

import { createHash } from "node:crypto"
import { once } from "node:events"
import net from "node:net"

const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

export const bytes = (...parts) => Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part))))

/** A WebSocket frame of a server. `opcode` 2 is binary; `first` and `second` replace what is right. */
export function frame(payload, { opcode = 2, final = true, first = (final ? 0x80 : 0) | opcode, mask = 0 } = {}) {
  const body = Buffer.from(payload)
  const size = body.length < 126 ? 2 : body.length < 65_536 ? 4 : 10
  const head = Buffer.alloc(size)
  head[0] = first
  head[1] = mask | (size === 2 ? body.length : size === 4 ? 126 : 127)
  if (size === 4) head.writeUInt16BE(body.length, 2)
  if (size === 10) head.writeBigUInt64BE(BigInt(body.length), 2)
  return Buffer.concat([head, body])
}

/** The frames of one ZeroMQ message, as WebSocket frames. */
export const message = (...frames) => Buffer.concat(frames.map((body, at) => frame(bytes(at + 1 < frames.length ? 1 : 0, body))))

export const ROUTING_ID = frame(bytes(0))

/** One accepted connection. */
export class Peer {
  head = ""
  /** The frames that came: `{ opcode, payload, masked }`. */
  frames = []
  ended = false
  answersClose = true
  #input = Buffer.alloc(0)
  #waiting = []

  /** `head`: that of the request, where somebody else has read it. */
  constructor(socket, head = "") {
    this.socket = socket
    this.head = head
    socket.on("data", (chunk) => this.#read(chunk))
    socket.on("error", () => {})
    socket.on("close", () => {
      this.ended = true
      this.#wake()
    })
  }

  /** Answers the upgrade rightly, and begins as a publisher does. */
  async accept({ protocol = "ZWS2.0", after = ROUTING_ID, fields = "" } = {}) {
    await this.until(() => this.head)
    const key = /sec-websocket-key: (.*)/i.exec(this.head)[1].trim()
    const accept = createHash("sha1").update(key + KEY_SUFFIX).digest("base64")
    const selected = protocol ? `Sec-WebSocket-Protocol: ${protocol}\r\n` : ""
    const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${selected}${fields}\r\n`
    this.socket.write(Buffer.concat([Buffer.from(answer), after]))
    return this
  }

  send(...parts) {
    this.socket.write(Buffer.concat(parts))
  }

  /** Ends the connection without a word. */
  cut() {
    this.socket.destroy()
  }

  /** What was subscribed (`+topic`) and cancelled (`-topic`), in order. */
  get demand() {
    const verbs = { 1: "+", 0: "-" }
    const changes = this.frames.filter(({ opcode, payload }) => opcode === 2 && payload[0] === 0 && payload.length >= 2)
    return changes.map(({ payload }) => verbs[payload[1]] + payload.subarray(2))
  }

  /** What is subscribed now. */
  get wanted() {
    const wanted = new Set()
    for (const change of this.demand) change[0] === "+" ? wanted.add(change.slice(1)) : wanted.delete(change.slice(1))
    return wanted
  }

  /** The value of `what`, once it has one. */
  async until(what) {
    for (;;) {
      const value = what()
      if (value) return value
      if (this.ended) throw new Error(`the connection has ended, after ${this.frames.length} frames: ${this.demand}`)
      await new Promise((resolve) => this.#waiting.push(resolve))
    }
  }

  async end() {
    while (!this.ended) await new Promise((resolve) => this.#waiting.push(resolve))
  }

  #read(chunk) {
    this.#input = Buffer.concat([this.#input, chunk])
    if (!this.head) this.#readHead()
    while (this.head && this.#readFrame());
    this.#wake()
  }

  #readHead() {
    const end = this.#input.indexOf("\r\n\r\n")
    if (end < 0) return
    this.head = this.#input.subarray(0, end).toString()
    this.#input = this.#input.subarray(end + 4)
  }

  #readFrame() {
    const input = this.#input
    if (input.length < 2) return false
    const short = input[1] & 0x7f
    const size = short === 126 ? 4 : short === 127 ? 10 : 2
    const masked = (input[1] & 0x80) !== 0
    const start = size + (masked ? 4 : 0)
    if (input.length < start) return false
    const length = size === 2 ? short : size === 4 ? input.readUInt16BE(2) : Number(input.readBigUInt64BE(2))
    if (input.length < start + length) return false
    const payload = Buffer.from(input.subarray(start, start + length))
    if (masked) for (let at = 0; at < length; at += 1) payload[at] ^= input[size + (at & 3)]
    this.#input = input.subarray(start + length)
    this.frames.push({ opcode: input[0] & 0x0f, payload, masked })
    if ((input[0] & 0x0f) === 8 && this.answersClose) this.socket.end(frame(payload, { opcode: 8 }))
    return true
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** A server, and the peers in the order in which they came. It ends with the test. */
export class Server {
  static async start(test, { port = 0 } = {}) {
    const server = new Server()
    server.listener = net.createServer((socket) => server.#accept(socket))
    server.listener.listen(port, "127.0.0.1")
    await once(server.listener, "listening")
    test.after(() => server.stop())
    return server
  }

  peers = []
  #taken = 0
  #waiting = []

  get port() {
    return this.listener.address().port
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/`
  }

  /** The next peer that connects. */
  async peer() {
    while (this.peers.length <= this.#taken) await new Promise((resolve) => this.#waiting.push(resolve))
    return this.peers[this.#taken++]
  }

  async stop() {
    for (const peer of this.peers) peer.cut()
    if (!this.listener.listening) return
    this.listener.close()
    await once(this.listener, "close")
  }

  #accept(socket) {
    this.peers.push(new Peer(socket))
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

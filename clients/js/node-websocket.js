/**
 * A WebSocket client (RFC 6455) on Node's own modules, for versions of Node that have no global `WebSocket`: what `oncue.js`
 * uses of the browsers' interface, and no more. Extensions are not offered. The reason of a failure is in the `error` event.
 */

import { createHash, randomBytes } from "node:crypto"
import net from "node:net"
import tls from "node:tls"

/** The longest head of an HTTP response. */
const HEAD_BYTES_MAX = 16 * 1024
/** As much of the text of a refusal is in the error. */
const REFUSAL_BYTES_MAX = 1024
/** The longest message, unless the option `maxPayload` says another length. */
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024
/** A message comes in this many fragments at most. */
const FRAGMENTS_MAX = 65_536
/** While this much waits to be sent, pings are not answered: a server that does not read may still ping. */
const PONG_BYTES_MAX = 64 * 1024
/** A server that does not answer a close frame is not waited for longer. */
const CLOSE_MS = 1_000
/** What every server appends to the key (RFC 6455, 1.3). */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
const CLOSE = 8
const PING = 9
const PONG = 10

const CONNECTING = 0
const OPEN = 1
const CLOSING = 2
const CLOSED = 3

/** The server has broken the protocol, or a bound: the connection ends with this code. */
class Violation extends Error {
  constructor(code, message) {
    super(message)
    this.code = code
  }
}

/** Bytes that were received and not yet used. */
class Input {
  #chunks = []
  length = 0

  push(chunk) {
    this.#chunks.push(chunk)
    this.length += chunk.length
  }

  /** All of it, as one buffer. */
  all() {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]
  }

  /** The first `length` bytes, which are there. */
  take(length) {
    const all = this.all()
    this.#chunks = [all.subarray(length)]
    this.length -= length
    return all.subarray(0, length)
  }
}

/** Cuts received bytes into messages and control frames. */
class Reader {
  #input
  #messageBytesMax
  /** The head of a frame whose payload is not complete. */
  #head
  #opcode
  #fragments = []
  #bytes = 0

  constructor(input, messageBytesMax) {
    this.#input = input
    this.#messageBytesMax = messageBytesMax
  }

  /** The next `{ opcode, payload }`, or `undefined` until more bytes are there. */
  next() {
    for (;;) {
      this.#head ??= this.#readHead()
      if (!this.#head || this.#input.length < this.#head.length) return undefined
      const { final, opcode, length } = this.#head
      this.#head = undefined
      const whole = this.#put(final, opcode, this.#input.take(length))
      if (whole) return whole
    }
  }

  #readHead() {
    if (this.#input.length < 2) return undefined
    const bytes = this.#input.all()
    const short = bytes[1] & 0x7f
    const size = { 126: 4, 127: 10 }[short] ?? 2
    if (bytes.length < size) return undefined
    const length = size === 2 ? short : size === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
    const head = { final: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, length }
    this.#check(bytes[0], bytes[1], head)
    this.#input.take(size)
    return head
  }

  #check(first, second, { final, opcode, length }) {
    if ((first & 0x70) !== 0) throw new Violation(1002, "the server set reserved bits of a frame")
    if ((second & 0x80) !== 0) throw new Violation(1002, "the server masked a frame")
    const control = opcode >= CLOSE
    if (opcode > PONG || (opcode > BINARY && !control)) throw new Violation(1002, `the server sent a frame of the unknown kind ${opcode}`)
    if (control && (length > 125 || !final)) throw new Violation(1002, "the server sent a control frame that is long or in fragments")
    if (!control && (opcode === CONTINUATION) === (this.#opcode === undefined)) {
      throw new Violation(1002, "the server sent fragments out of order")
    }
    if (!control && this.#bytes + length > this.#messageBytesMax) {
      throw new Violation(1009, `a message is longer than ${this.#messageBytesMax} bytes`)
    }
  }

  #put(final, opcode, payload) {
    if (opcode >= CLOSE) return { opcode, payload }
    this.#opcode ??= opcode
    this.#bytes += payload.length
    // A copy of a fragment, so that a few bytes do not keep the chunk in which they came.
    this.#fragments.push(final ? payload : Buffer.from(payload))
    if (this.#fragments.length > FRAGMENTS_MAX) throw new Violation(1009, `a message has more than ${FRAGMENTS_MAX} fragments`)
    if (!final) return undefined
    const whole = { opcode: this.#opcode, payload: this.#fragments.length === 1 ? this.#fragments[0] : Buffer.concat(this.#fragments) }
    this.#opcode = undefined
    this.#fragments = []
    this.#bytes = 0
    return whole
  }
}

export class NodeWebSocket {
  onopen = null
  onmessage = null
  onerror = null
  onclose = null
  readyState = CONNECTING
  protocol = ""
  #url
  #protocols
  #socket
  #key = randomBytes(16).toString("base64")
  #input = new Input()
  #reader
  #timer
  /** The server has done this wrong: whatever else it sends is not read. */
  #violation
  /** What `close` will say: the server's close frame, or the reason of this side. */
  #code = 1006
  #reason = ""

  constructor(url, protocols = [], { maxPayload = MESSAGE_BYTES_MAX } = {}) {
    this.#url = new URL(url)
    this.#protocols = [protocols].flat()
    this.#reader = new Reader(this.#input, maxPayload)
    this.#socket = this.#dial()
    this.#socket.setNoDelay(true)
    this.#socket.on("data", (chunk) => this.#received(chunk))
    this.#socket.on("end", () => this.#ended())
    this.#socket.on("error", (error) => this.#report(explained(error, this.#url)))
    this.#socket.on("close", () => this.#closed())
  }

  get url() {
    return this.#url.href
  }

  /** Messages are always given as an ArrayBuffer. */
  get binaryType() {
    return "arraybuffer"
  }

  set binaryType(kind) {
    if (kind !== "arraybuffer") throw new TypeError(`this WebSocket has the binary type arraybuffer only, not ${kind}`)
  }

  get bufferedAmount() {
    return this.#socket.writableLength
  }

  /** Sends a text, or a binary message. Does nothing once the connection is closing. */
  send(data) {
    if (this.readyState === CONNECTING) throw new Error("the WebSocket is not open yet")
    if (this.readyState !== OPEN) return
    if (typeof data === "string") this.#write(TEXT, Buffer.from(data))
    else this.#write(BINARY, new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength))
  }

  close(code = 1000, reason = "") {
    if (this.readyState >= CLOSING) return
    const open = this.readyState === OPEN
    this.readyState = CLOSING
    if (!open) return void this.#socket.destroy()
    this.#leave(code, reason)
  }

  #dial() {
    const { hostname, port, protocol } = this.#url
    const host = hostname.replace(/^\[|\]$/g, "")
    if (protocol === "ws:") return net.connect(Number(port || 80), host, () => this.#ask())
    if (protocol !== "wss:") throw new SyntaxError(`\`${this.#url}\` is not a WebSocket URL`)
    const servername = net.isIP(host) ? "" : host
    return tls.connect({ port: Number(port || 443), host, servername, ALPNProtocols: ["http/1.1"] }, () => this.#ask())
  }

  #ask() {
    const { pathname, search, host } = this.#url
    const lines = [
      `GET ${pathname}${search} HTTP/1.1`,
      `Host: ${host}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${this.#key}`,
      "Sec-WebSocket-Version: 13",
    ]
    if (this.#protocols.length > 0) lines.push(`Sec-WebSocket-Protocol: ${this.#protocols.join(", ")}`)
    this.#socket.write(`${lines.join("\r\n")}\r\n\r\n`)
  }

  #received(chunk) {
    if (this.#violation) return
    this.#input.push(chunk)
    try {
      if (this.readyState === CONNECTING && !this.#upgraded(false)) return
      this.#read()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.#violated(error)
    }
  }

  /** Whether the response to the upgrade was read. `last`: no more bytes come. */
  #upgraded(last) {
    const bytes = this.#input.all()
    const end = bytes.indexOf("\r\n\r\n")
    if (end < 0 && bytes.length > HEAD_BYTES_MAX) throw new Violation(1006, "the head of the server's response is too long")
    if (end < 0) return false
    const head = parsed(bytes.subarray(0, end).toString("latin1"))
    if (head.status !== 101) return this.#refused(head, bytes.subarray(end + 4), last)
    this.#input.take(end + 4)
    this.#accept(head)
    return true
  }

  #accept({ headers }) {
    const answer = createHash("sha1").update(this.#key + KEY_SUFFIX).digest("base64")
    if (headers.get("sec-websocket-accept") !== answer) throw new Violation(1006, "the server's answer to the key is wrong")
    const selected = headers.get("sec-websocket-protocol") ?? ""
    if (selected ? !this.#protocols.includes(selected) : this.#protocols.length > 0) {
      throw new Violation(1006, `the server selected ${selected ? `\`${selected}\`` : "none"} of the offered ${this.#protocols.join(", ")}`)
    }
    if (headers.has("sec-websocket-extensions")) throw new Violation(1006, "the server uses an extension that was not offered")
    this.protocol = selected
    this.readyState = OPEN
    this.onopen?.({ type: "open" })
  }

  /** The server has answered with something else: the error has the text, once it is here. */
  #refused({ status, phrase, headers }, body, last) {
    const length = Math.min(Number(headers.get("content-length") ?? 0) || 0, REFUSAL_BYTES_MAX)
    if (body.length < length && !last) return false
    const text = body.subarray(0, length).toString().trim()
    throw new Violation(1006, `the server refused: ${status} ${phrase}${text && `: ${text}`}`)
  }

  #read() {
    while (this.readyState < CLOSED) {
      const frame = this.#reader.next()
      if (!frame) return
      this.#take(frame.opcode, frame.payload)
    }
  }

  #take(opcode, payload) {
    if (opcode === CLOSE) return this.#closeFrame(payload)
    if (this.readyState !== OPEN || opcode === PONG) return
    if (opcode === PING) return this.bufferedAmount < PONG_BYTES_MAX && this.#write(PONG, payload)
    const data = opcode === TEXT ? text(payload) : payload.buffer.slice(payload.byteOffset, payload.byteOffset + payload.length)
    this.onmessage?.({ type: "message", data })
  }

  #closeFrame(payload) {
    if (this.#code === 1006) {
      this.#code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005
      this.#reason = payload.subarray(2).toString()
    }
    if (this.readyState === OPEN) this.#write(CLOSE, payload.subarray(0, 2))
    this.readyState = CLOSING
    this.#hangUp()
  }

  #violated(violation) {
    const { code, message } = violation
    this.#violation = violation
    this.#report(message)
    if (this.readyState !== OPEN) return void this.#socket.destroy()
    this.readyState = CLOSING
    this.#leave(code, "")
  }

  #leave(code, reason) {
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
    payload.writeUInt16BE(code)
    payload.write(reason, 2)
    this.#write(CLOSE, payload)
    this.#timer ??= setTimeout(() => this.#socket.destroy(), CLOSE_MS)
  }

  /** Writes what is left, and does not wait for the server's end for longer than a second. */
  #hangUp() {
    this.#socket.end()
    this.#timer ??= setTimeout(() => this.#socket.destroy(), CLOSE_MS)
  }

  #ended() {
    if (this.readyState !== CONNECTING) return
    try {
      if (this.#upgraded(true)) return
      this.#report("the server closed the connection without an answer")
    } catch (error) {
      this.#report(error.message)
    }
  }

  #closed() {
    clearTimeout(this.#timer)
    this.readyState = CLOSED
    this.onclose?.({ type: "close", code: this.#code, reason: this.#reason, wasClean: this.#code !== 1006 })
  }

  #report(message) {
    this.onerror?.({ type: "error", message, error: new Error(message) })
  }

  #write(opcode, payload) {
    const mask = randomBytes(4)
    const masked = Buffer.from(payload)
    for (let at = 0; at < masked.length; at += 1) masked[at] ^= mask[at & 3]
    this.#socket.write(Buffer.concat([frameHead(opcode, masked.length), mask, masked]))
  }
}

function frameHead(opcode, length) {
  const size = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const head = Buffer.alloc(size)
  head[0] = 0x80 | opcode
  head[1] = 0x80 | (size === 2 ? length : size === 4 ? 126 : 127)
  if (size === 4) head.writeUInt16BE(length, 2)
  if (size === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return head
}

/** An HTTP response's status, phrase and headers, whose names are in lower case. */
function parsed(head) {
  const [first, ...lines] = head.split("\r\n")
  const [, status, phrase] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/.exec(first) ?? []
  if (!status) throw new Violation(1006, "the server does not speak HTTP/1.1")
  const headers = new Map()
  for (const line of lines) {
    const colon = line.indexOf(":")
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { status: Number(status), phrase, headers }
}

function text(payload) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(payload)
  } catch {
    throw new Violation(1007, "the server sent a text that is not UTF-8")
  }
}

function explained(error, { host }) {
  if (error.code === "ECONNREFUSED") return `${host} refuses the connection: nothing listens there`
  return `${host}: ${error.message || error.code}`
}

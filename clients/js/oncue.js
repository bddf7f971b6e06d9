/**
 * A subscriber of ZeroMQ publishers over WebSocket (RFC 45, ZWS 2.0), for browsers and Node, without dependencies.
 *
 * It speaks the subprotocol `ZWS2.0` without a mechanism, the only one that a browser can offer: the first message each way is
 * a routing id, every later one is a frame of a ZeroMQ message behind one byte of flags. `oncue.d.ts` documents what is exported.
 */

const SUBPROTOCOL = "ZWS2.0"

/** The flags of a frame. */
const LAST = 0
const MORE = 1
const COMMAND = 2

/** The `readyState` of an open WebSocket. */
const OPEN = 1

/** A connection that lasted this long resets the backoff. */
const STABLE_MS = 1_000
/** A server that does not answer a close is not waited for longer. */
const CLOSE_MS = 1_000
/** While the send buffer is full, it is looked at this often: WebSocket has no event for it. */
const STALLED_MS = 50

const DEFAULTS = {
  topics: [],
  queueMessagesMax: 1_000,
  queueBytesMax: 16 * 1024 * 1024,
  whenFull: "drop-oldest",
  messageBytesMax: 16 * 1024 * 1024,
  messageFramesMax: 1_024,
  sendBytesMax: 1024 * 1024,
  connectTimeoutMs: 10_000,
  silenceMs: 0,
  reconnect: true,
  reconnectMinMs: 100,
  reconnectMaxMs: 30_000,
  signal: undefined,
  WebSocket: undefined,
}
const POLICIES = ["drop-oldest", "drop-newest", "latest"]
/** Options that are counts or times, with the least value of each. */
const LEAST = {
  queueMessagesMax: 1,
  queueBytesMax: 1,
  messageBytesMax: 1,
  messageFramesMax: 1,
  sendBytesMax: 1,
  connectTimeoutMs: 1,
  silenceMs: 0,
  reconnectMinMs: 1,
  reconnectMaxMs: 1,
}

const utf8 = new TextDecoder()
const encoder = new TextEncoder()
/** Gives each byte a character of its own, so that its texts are keys of bytes. */
const latin1 = new TextDecoder("latin1")

/** The connection has ended, and is not made again. */
export class ConnectionError extends Error {
  name = "ConnectionError"
}

export class Message {
  constructor(frames) {
    this.frames = frames
  }

  get topic() {
    return utf8.decode(this.frames[0])
  }

  text(index = 1) {
    return utf8.decode(this.#frame(index))
  }

  json(index = 1) {
    return JSON.parse(this.text(index))
  }

  #frame(index) {
    const frame = this.frames[index]
    if (frame) return frame
    throw new RangeError(`the message has no frame ${index}: it has ${this.frames.length}, counted from 0`)
  }
}

/** The subscribed prefixes, how often each, and which topics they match. */
class Prefixes {
  #held = new Map()
  /** How many prefixes have each length. */
  #lengths = new Map()
  #longest = 0

  /** Whether it is the first subscription of the prefix. */
  add(key, bytes) {
    const held = this.#held.get(key)
    if (held) {
      held.count += 1
      return false
    }
    this.#held.set(key, { count: 1, bytes })
    this.#lengths.set(key.length, (this.#lengths.get(key.length) ?? 0) + 1)
    this.#longest = Math.max(this.#longest, key.length)
    return true
  }

  /** Whether it was the last subscription of the prefix; `undefined` if there was none. */
  remove(key) {
    const held = this.#held.get(key)
    if (!held) return undefined
    held.count -= 1
    if (held.count > 0) return false
    this.#held.delete(key)
    this.#forget(key.length)
    return true
  }

  #forget(length) {
    const left = this.#lengths.get(length) - 1
    if (left > 0) return this.#lengths.set(length, left)
    this.#lengths.delete(length)
    this.#longest = Math.max(0, ...this.#lengths.keys())
  }

  /** The bytes of the prefix, if it is subscribed to. */
  bytes(key) {
    return this.#held.get(key)?.bytes
  }

  keys() {
    return this.#held.keys()
  }

  matches(topic) {
    const key = latin1.decode(topic.subarray(0, this.#longest))
    for (const length of this.#lengths.keys()) {
      if (length <= key.length && this.#held.has(key.slice(0, length))) return true
    }
    return false
  }
}

/** Received messages that wait for the application, up to a count and a number of bytes. */
class Queue {
  #options
  #waiting = []
  /** Where the oldest stands: those before it were taken. */
  #head = 0
  #bytes = 0
  /** For `latest`: what waits of each topic. */
  #ofTopic = new Map()
  dropped = 0

  constructor(options) {
    this.#options = options
  }

  get length() {
    return this.#waiting.length - this.#head
  }

  get bytes() {
    return this.#bytes
  }

  push(message, bytes) {
    const { whenFull } = this.#options
    if (whenFull === "latest" && this.#replace(message, bytes)) return
    if (whenFull === "drop-newest" && !this.#fits(bytes)) {
      this.dropped += 1
      return
    }
    this.#append(message, bytes)
    this.#shrink()
  }

  shift() {
    if (this.length === 0) return undefined
    const entry = this.#waiting[this.#head]
    this.#waiting[this.#head] = undefined
    this.#head += 1
    this.#bytes -= entry.bytes
    this.#ofTopic.delete(entry.key)
    this.#compact()
    return entry.message
  }

  clear() {
    this.#waiting = []
    this.#head = 0
    this.#bytes = 0
    this.#ofTopic.clear()
  }

  #append(message, bytes) {
    const entry = { message, bytes, key: undefined }
    if (this.#options.whenFull === "latest") {
      entry.key = latin1.decode(message.frames[0])
      this.#ofTopic.set(entry.key, entry)
    }
    this.#waiting.push(entry)
    this.#bytes += bytes
  }

  /** A newer message takes the place of the one of its topic, so that a busy topic does not keep others back. */
  #replace(message, bytes) {
    const entry = this.#ofTopic.get(latin1.decode(message.frames[0]))
    if (!entry) return false
    this.#bytes += bytes - entry.bytes
    entry.message = message
    entry.bytes = bytes
    this.dropped += 1
    this.#shrink()
    return true
  }

  #fits(bytes) {
    const { queueMessagesMax, queueBytesMax } = this.#options
    return this.length < queueMessagesMax && (this.length === 0 || this.#bytes + bytes <= queueBytesMax)
  }

  /** Drops the oldest until the rest is within the bounds. A single message may exceed the bytes: it would never fit. */
  #shrink() {
    const { queueMessagesMax, queueBytesMax } = this.#options
    while (this.length > queueMessagesMax || (this.length > 1 && this.#bytes > queueBytesMax)) {
      this.shift()
      this.dropped += 1
    }
  }

  /** Moves what waits to the front when half of the array was taken: constant work for each message. */
  #compact() {
    if (this.#head * 2 < this.#waiting.length) return
    this.#waiting = this.#waiting.slice(this.#head)
    this.#head = 0
  }
}

/** Frames of one connection, put together to messages. */
class Assembly {
  #options
  #frames = []
  #bytes = 0
  /** The first message is the server's routing id. */
  begun = false

  constructor(options) {
    this.#options = options
  }

  /** The message that `data` completes, if it completes one. Throws what the server did wrong. */
  take(data) {
    if (!(data instanceof ArrayBuffer)) throw new ConnectionError("the server sent text, where ZeroMQ has only binary messages")
    const bytes = new Uint8Array(data)
    if (bytes.length === 0) throw new ConnectionError("the server sent an empty message, without the flags of a frame")
    return this.begun ? this.#frame(bytes[0], bytes.subarray(1)) : this.#routingId(bytes[0])
  }

  #routingId(flags) {
    if (flags === COMMAND) {
      throw new ConnectionError(`the server answered ${SUBPROTOCOL} and speaks ${SUBPROTOCOL}/NULL: it needs another client`)
    }
    if (flags !== LAST) throw new ConnectionError("the server did not begin with a routing id")
    this.begun = true
    return undefined
  }

  #frame(flags, frame) {
    if (flags === COMMAND) return undefined
    if (flags !== LAST && flags !== MORE) throw new ConnectionError(`the server sent a frame with the unknown flags ${flags}`)
    this.#keep(frame)
    if (flags === MORE) return undefined
    const complete = { message: new Message(this.#frames), bytes: this.#bytes }
    this.#frames = []
    this.#bytes = 0
    return complete
  }

  #keep(frame) {
    const { messageBytesMax, messageFramesMax } = this.#options
    this.#frames.push(frame)
    this.#bytes += frame.length
    if (this.#bytes > messageBytesMax) throw new ConnectionError(`a message is longer than messageBytesMax, ${messageBytesMax}`)
    if (this.#frames.length > messageFramesMax) {
      throw new ConnectionError(`a message has more frames than messageFramesMax, ${messageFramesMax}`)
    }
  }
}

/** Subscriptions as the server of one connection knows them. It is told the difference, as fast as its stream takes it. */
class Told {
  #socket
  #prefixes
  #bytesMax
  /** The bytes of what it knows, by key. */
  #known = new Map()
  #changed = new Set()
  #timer

  constructor(socket, prefixes, bytesMax) {
    this.#socket = socket
    this.#prefixes = prefixes
    this.#bytesMax = bytesMax
  }

  change(keys) {
    for (const key of keys) this.#changed.add(key)
    this.#flush()
  }

  /** Cancels all, as far as the stream takes it at once: some publishers do not notice that a peer has gone. */
  cancel() {
    this.stop()
    for (const bytes of this.#known.values()) {
      if (this.#socket.bufferedAmount >= this.#bytesMax) return
      this.#send(0, bytes)
    }
  }

  stop() {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#changed.clear()
  }

  #flush() {
    for (const key of this.#changed) {
      if (this.#socket.bufferedAmount >= this.#bytesMax) return this.#later()
      this.#changed.delete(key)
      this.#tell(key)
    }
  }

  #later() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#flush()
    }, STALLED_MS)
  }

  #tell(key) {
    const wanted = this.#prefixes.bytes(key)
    const known = this.#known.get(key)
    if (wanted && !known) {
      this.#known.set(key, wanted)
      this.#send(1, wanted)
    } else if (known && !wanted) {
      this.#known.delete(key)
      this.#send(0, known)
    }
  }

  #send(verb, prefix) {
    const message = new Uint8Array(2 + prefix.length)
    message[0] = LAST
    message[1] = verb
    message.set(prefix, 2)
    this.#socket.send(message)
  }
}

/** One WebSocket, from the attempt to its end, which is told once. */
class Connection {
  #socket
  #options
  #owner
  #assembly
  #told
  #timer
  #error
  #openedAt
  #ended = false
  #gone

  /** `owner` has `opened()`, `received(message, bytes)` and `ended(reason, stable)`. */
  constructor(url, options, prefixes, owner) {
    this.#options = options
    this.#owner = owner
    this.#assembly = new Assembly(options)
    // The third argument bounds messages where the implementation can; browsers ignore it.
    const socket = new options.WebSocket(url, [SUBPROTOCOL], { maxPayload: options.messageBytesMax + 1 })
    this.#socket = socket
    socket.binaryType = "arraybuffer"
    this.#told = new Told(socket, prefixes, options.sendBytesMax)
    socket.onopen = () => this.#open(prefixes)
    socket.onmessage = (event) => this.#message(event.data)
    this.#gone = new Promise((resolve) => {
      socket.onclose = (event) => {
        this.#end(this.#why(event))
        resolve()
      }
      socket.onerror = (event) => {
        this.#error = event.error?.message || event.message || this.#error
        // The WebSocket of Node 20 has no `close` event after a failed attempt.
        if (this.#openedAt === undefined && socket.readyState !== OPEN) socket.onclose({ code: 1006 })
      }
    })
    const time = options.connectTimeoutMs
    this.#timer = setTimeout(() => this.#fail(`the server did not finish the handshake within ${time} ms`), time)
  }

  changed(key) {
    if (!this.#ended && this.#socket.readyState === OPEN) this.#told.change([key])
  }

  /** Ends when the server has answered, or after a second. */
  async close() {
    if (this.#socket.readyState === OPEN) this.#told.cancel()
    this.#end(undefined)
    this.#socket.close(1000)
    let timer
    await Promise.race([this.#gone, new Promise((resolve) => (timer = setTimeout(resolve, CLOSE_MS)))])
    clearTimeout(timer)
  }

  #open(prefixes) {
    if (this.#ended) return
    if (this.#socket.protocol !== SUBPROTOCOL) return this.#fail(`the server does not speak ${SUBPROTOCOL}`)
    this.#socket.send(Uint8Array.of(LAST))
    this.#told.change(prefixes.keys())
  }

  #message(data) {
    if (this.#ended) return
    const begun = this.#assembly.begun
    try {
      const complete = this.#assembly.take(data)
      if (complete) this.#owner.received(complete.message, complete.bytes)
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
      return this.#fail(error.message)
    }
    if (!begun) this.#established()
    this.#heard()
  }

  #established() {
    clearTimeout(this.#timer)
    this.#openedAt = performance.now()
    this.#owner.opened()
  }

  /** The server is alive: the time of silence begins again. */
  #heard() {
    const time = this.#options.silenceMs
    if (time === 0 || this.#ended) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#fail(`the server was silent for ${time} ms`), time)
  }

  #fail(reason) {
    this.#end(reason)
    this.#socket.close()
  }

  #why({ code, reason }) {
    if (this.#openedAt === undefined) return this.#error ?? "no connection to the server, or it refused the handshake"
    if (code === 1006) return this.#error ?? "the connection was lost"
    return `the server closed the connection (${[code, reason].filter(Boolean).join(": ")})`
  }

  #end(reason) {
    if (this.#ended) return
    this.#ended = true
    clearTimeout(this.#timer)
    this.#told.stop()
    if (reason === undefined) return
    const lasted = this.#openedAt === undefined ? 0 : performance.now() - this.#openedAt
    this.#owner.ended(reason, lasted >= STABLE_MS)
  }
}

/** When to dial again: doubled each time, with jitter, so that a thousand clients do not come back in step. */
class Backoff {
  #options
  #attempts = 0

  constructor(options) {
    this.#options = options
  }

  reset() {
    this.#attempts = 0
  }

  next() {
    const { reconnectMinMs, reconnectMaxMs } = this.#options
    const longest = Math.min(reconnectMaxMs, reconnectMinMs * 2 ** Math.min(this.#attempts, 30))
    this.#attempts += 1
    return Math.round(longest * (0.5 + Math.random() / 2))
  }
}

export class Subscriber extends EventTarget {
  #url
  #options
  #prefixes = new Prefixes()
  #queue
  #backoff
  #connection
  #state
  #retry
  /** Set when no connection will be made again. */
  #closed
  #closing
  #abort = () => this.close()
  #waiters = []
  #counts = { received: 0, filtered: 0, connections: 0 }

  constructor(url, options = {}) {
    super()
    this.#url = checkedUrl(url)
    this.#options = checked(options)
    this.#queue = new Queue(this.#options)
    this.#backoff = new Backoff(this.#options)
    for (const topic of this.#options.topics) this.#add(topic)
    this.#connect()
    this.#follow(this.#options.signal)
  }

  get url() {
    return this.#url
  }

  get state() {
    return this.#state
  }

  get counts() {
    const { dropped, length, bytes } = this.#queue
    return { ...this.#counts, dropped, waiting: length, waitingBytes: bytes }
  }

  subscribe(topic) {
    if (this.#closed) throw new ConnectionError("the subscriber is closed")
    const key = this.#add(topic)
    if (key !== undefined) this.#connection?.changed(key)
    return this
  }

  unsubscribe(topic) {
    const key = latin1.decode(topicBytes(topic))
    const last = this.#prefixes.remove(key)
    if (last) this.#connection?.changed(key)
    return last !== undefined
  }

  /** The next message that is still subscribed to. */
  async next() {
    const message = this.#take()
    if (message) return { done: false, value: message }
    if (!this.#closed) return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
    if (this.#closed.error) throw this.#closed.error
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator]() {
    return this
  }

  close() {
    this.#closing ??= this.#shut()
    return this.#closing
  }

  async #shut() {
    const connection = this.#connection
    if (!this.#closed) this.#finish(undefined)
    await connection?.close()
  }

  #add(topic) {
    const bytes = topicBytes(topic)
    const key = latin1.decode(bytes)
    return this.#prefixes.add(key, bytes) ? key : undefined
  }

  #follow(signal) {
    if (!signal) return
    if (signal.aborted) return void this.close()
    signal.addEventListener("abort", this.#abort, { once: true })
  }

  #connect() {
    this.#retry = undefined
    this.#show({ name: "connecting" })
    // A listener of the state may have closed it.
    if (this.#closed) return
    const owner = {
      opened: () => this.#opened(),
      received: (message, bytes) => this.#received(message, bytes),
      ended: (reason, stable) => this.#ended(reason, stable),
    }
    this.#connection = new Connection(this.#url, this.#options, this.#prefixes, owner)
  }

  #opened() {
    this.#counts.connections += 1
    this.#show({ name: "open" })
  }

  #received(message, bytes) {
    this.#counts.received += 1
    // Some publishers send what was not subscribed to.
    if (!this.#prefixes.matches(message.frames[0])) {
      this.#counts.filtered += 1
      return
    }
    this.#queue.push(message, bytes)
    const waiter = this.#waiters.shift()
    if (waiter) waiter.resolve({ done: false, value: this.#queue.shift() })
  }

  #ended(reason, stable) {
    this.#connection = undefined
    if (!this.#options.reconnect) return this.#finish(reason)
    if (stable) this.#backoff.reset()
    const retryMs = this.#backoff.next()
    this.#retry = setTimeout(() => this.#connect(), retryMs)
    this.#show({ name: "closed", reason, retryMs })
  }

  /** The end, by this side (`undefined`) or for a reason. What waits can still be read in the second case. */
  #finish(reason) {
    const error = reason === undefined ? undefined : new ConnectionError(reason)
    this.#closed = { error }
    this.#connection = undefined
    clearTimeout(this.#retry)
    this.#options.signal?.removeEventListener("abort", this.#abort)
    if (!error) this.#queue.clear()
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error) reject(error)
      else resolve({ done: true, value: undefined })
    }
    this.#show({ name: "closed", reason: reason ?? "closed by this side" })
  }

  #take() {
    for (;;) {
      const message = this.#queue.shift()
      if (!message || this.#prefixes.matches(message.frames[0])) return message
    }
  }

  #show(state) {
    this.#state = Object.freeze({ reason: undefined, retryMs: undefined, ...state })
    this.dispatchEvent(new Event("state"))
  }
}

function topicBytes(topic) {
  if (typeof topic === "string") return encoder.encode(topic)
  if (topic instanceof Uint8Array) return topic.slice()
  throw new TypeError(`a topic is a string or a Uint8Array, not ${topic === null ? "null" : typeof topic}`)
}

function checkedUrl(url) {
  let parsed
  try {
    parsed = new URL(url)
  } catch {
    throw new TypeError(`\`${url}\` is not a URL; write it as "ws://127.0.0.1:9180/"`)
  }
  if (parsed.protocol !== "ws:" && parsed.protocol !== "wss:") {
    throw new TypeError(`\`${url}\` is not a WebSocket URL; it begins with ws:// or wss://`)
  }
  return parsed.href
}

function checked(given) {
  for (const name of Object.keys(given)) {
    if (!(name in DEFAULTS)) throw new TypeError(`\`${name}\` is not an option; there are ${Object.keys(DEFAULTS).join(", ")}`)
  }
  const options = { ...DEFAULTS, ...given }
  for (const [name, least] of Object.entries(LEAST)) {
    if (!(typeof options[name] === "number" && options[name] >= least)) {
      throw new RangeError(`\`${name}\` is a number from ${least}, not ${options[name]}`)
    }
  }
  if (!POLICIES.includes(options.whenFull)) {
    throw new TypeError(`\`whenFull\` is one of ${POLICIES.join(", ")}, not ${options.whenFull}`)
  }
  options.WebSocket ??= globalThis.WebSocket
  if (!options.WebSocket) {
    throw new TypeError("there is no WebSocket here: give one as the option `WebSocket`, or import node.js in place of oncue.js")
  }
  return options
}

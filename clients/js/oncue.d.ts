/**
 * A subscriber of ZeroMQ publishers over WebSocket (RFC 45, ZWS 2.0, the subprotocol `ZWS2.0`), for browsers and Node.
 *
 * ```js
 * const subscriber = new Subscriber("ws://127.0.0.1:9180/", { topics: ["prices/"] })
 * for await (const message of subscriber) console.log(message.topic, message.json())
 * ```
 */

/** What a {@link Subscriber} needs of a WebSocket: the one of browsers, of Node 22, of the package `ws`, and `NodeWebSocket` have it. */
export interface WebSocketLike {
  readonly readyState: number
  readonly protocol: string
  readonly bufferedAmount: number
  binaryType: string
  onopen: ((event: any) => any) | null
  onmessage: ((event: any) => any) | null
  onerror: ((event: any) => any) | null
  onclose: ((event: any) => any) | null
  send(data: Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

/** Options of a {@link Subscriber}. A name that is not one of them is a `TypeError`. */
export interface SubscriberOptions {
  /** Prefixes to subscribe to from the start. `""` matches every topic. */
  topics?: Iterable<string | Uint8Array>
  /** So many received messages wait for the application at most. Default: 1,000. */
  queueMessagesMax?: number
  /** Their frames have this many bytes at most, together; a single message may have more. Default: 16 MiB. */
  queueBytesMax?: number
  /**
   * What happens beyond these bounds. Whatever is dropped is counted.
   * - `"drop-oldest"` (default): the message that has waited longest is dropped.
   * - `"drop-newest"`: the message that arrives is dropped.
   * - `"latest"`: of each topic only the newest message waits; of too many topics the one that has waited longest is dropped.
   */
  whenFull?: "drop-oldest" | "drop-newest" | "latest"
  /** A longer message, in bytes of all of its frames, ends the connection. Default: 16 MiB. */
  messageBytesMax?: number
  /** A message of more frames ends the connection. Default: 1,024. */
  messageFramesMax?: number
  /** While this many bytes wait to be sent, no further subscription is sent. Default: 1 MiB. */
  sendBytesMax?: number
  /** A server that has not finished the handshake within this time, in milliseconds, is left. Default: 10,000. */
  connectTimeoutMs?: number
  /**
   * A server that sends nothing for this time, in milliseconds, is left. 0, the default, is no limit: browsers cannot send
   * pings, so set it only where the server is known to send more often.
   */
  silenceMs?: number
  /** Whether a connection that ends is made again. If not, iteration then throws a {@link ConnectionError}. Default: `true`. */
  reconnect?: boolean
  /** The pause before the first attempt, in milliseconds; it doubles with each, and is shortened by up to half at random. Default: 100. */
  reconnectMinMs?: number
  /** The longest pause between attempts, in milliseconds. Default: 30,000. */
  reconnectMaxMs?: number
  /** Closes the subscriber, as {@link Subscriber.close} does. */
  signal?: AbortSignal
  /** The class to connect with. Default: the global `WebSocket`; with node.js also `NodeWebSocket`, where there is no global one. */
  WebSocket?: new (url: string, protocols: string[], options?: any) => WebSocketLike
}

/**
 * - `connecting`: an attempt is made.
 * - `open`: the handshake is done, and all that is subscribed is sent.
 * - `closed`: there is no connection, for this `reason`. The next attempt is in `retryMs` milliseconds; `undefined`: there is none.
 */
export type SubscriberState =
  | { readonly name: "connecting"; readonly reason: undefined; readonly retryMs: undefined }
  | { readonly name: "open"; readonly reason: undefined; readonly retryMs: undefined }
  | { readonly name: "closed"; readonly reason: string; readonly retryMs: number | undefined }

/** Counters since the subscriber was made, but for what waits now. */
export interface SubscriberCounts {
  /** Messages that have arrived. */
  received: number
  /** Of these, messages that matched no subscription: some publishers send them. */
  filtered: number
  /** Of these, messages that were dropped because the queue was full, or replaced by a newer one of their topic. */
  dropped: number
  /** Connections whose handshake was done. */
  connections: number
  /** Messages that wait for the application now. */
  waiting: number
  /** The bytes of their frames. */
  waitingBytes: number
}

/** The connection has ended, and is not made again. Its message is the reason. */
export declare class ConnectionError extends Error {
  name: "ConnectionError"
}

/** One message: one or more frames, the first of which is the topic. */
export declare class Message {
  constructor(frames: Uint8Array[])
  /** The frames, as they came. */
  readonly frames: Uint8Array[]
  /** The first frame, as UTF-8; what is not UTF-8 is replaced by U+FFFD. */
  get topic(): string
  /** A frame as UTF-8; the value by default. Throws a `RangeError` if there is no such frame. */
  text(index?: number): string
  /** The same, parsed as JSON. Throws a `SyntaxError` if it is not JSON. */
  json<T = any>(index?: number): T
}

/**
 * A connection to one publisher, which is made again when it ends, and what is subscribed to there.
 *
 * It is an async iterator of messages. Leaving a loop does not close it; {@link close} does. Several loops share one queue: each
 * message goes to one of them.
 */
export declare class Subscriber extends EventTarget implements AsyncIterator<Message, undefined> {
  /**
   * Begins to connect. Throws a `TypeError` or `RangeError` if the URL or an option is wrong.
   * @param url `ws://HOST[:PORT][/PATH]` or `wss://…`
   */
  constructor(url: string | URL, options?: SubscriberOptions)
  readonly url: string
  /** The present state. An event `state` follows each change. */
  readonly state: SubscriberState
  readonly counts: SubscriberCounts
  /**
   * Subscribes to topics that begin with `topic`, in this connection and in later ones. Subscriptions of one prefix are counted:
   * each needs its own {@link unsubscribe}. Throws a {@link ConnectionError} if the subscriber is closed.
   */
  subscribe(topic: string | Uint8Array): this
  /** Ends one subscription of this prefix, and discards what waits and is no longer wanted. Returns whether there was one. */
  unsubscribe(topic: string | Uint8Array): boolean
  /** The next message. Once the subscriber is closed it is done; if the connection has failed for good, it throws a {@link ConnectionError}. */
  next(): Promise<IteratorResult<Message, undefined>>
  [Symbol.asyncIterator](): this
  /**
   * Cancels all subscriptions, and ends the connection and all iterations; messages that wait are discarded. Resolves when the
   * connection has ended, after a second at most.
   */
  close(): Promise<void>
  addEventListener(type: "state", listener: (event: Event) => void, options?: AddEventListenerOptions | boolean): void
  removeEventListener(type: "state", listener: (event: Event) => void, options?: EventListenerOptions | boolean): void
}

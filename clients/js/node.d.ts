/** `oncue.js` for Node 20 and newer: it has a WebSocket of its own where Node has none. */

import type { WebSocketLike } from "./oncue.js"

export * from "./oncue.js"

/**
 * A WebSocket client on Node's own modules. It has what a `Subscriber` needs, no extensions, and says in its `error` event why
 * a connection failed.
 */
export declare class NodeWebSocket implements WebSocketLike {
  /** @param options `maxPayload`: a longer message, in bytes, ends the connection. Default: 64 MiB. */
  constructor(url: string | URL, protocols?: string | string[], options?: { maxPayload?: number })
  readonly url: string
  readonly readyState: number
  readonly protocol: string
  readonly bufferedAmount: number
  binaryType: string
  onopen: ((event: any) => any) | null
  onmessage: ((event: any) => any) | null
  onerror: ((event: any) => any) | null
  onclose: ((event: any) => any) | null
  send(data: string | Uint8Array | ArrayBuffer): void
  close(code?: number, reason?: string): void
}

/** `oncue.js` for Node: it has a WebSocket of its own where Node has none. */

import { Subscriber as Portable } from "./oncue.js"
import { NodeWebSocket } from "./node-websocket.js"

export { ConnectionError, Message } from "./oncue.js"
export { NodeWebSocket }

export class Subscriber extends Portable {
  constructor(url, options = {}) {
    super(url, { ...options, WebSocket: options.WebSocket ?? globalThis.WebSocket ?? NodeWebSocket })
  }
}

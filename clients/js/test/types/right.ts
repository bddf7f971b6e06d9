/** What must be accepted by the types, for browsers and for Node. */

import { ConnectionError, Message, Subscriber, type SubscriberState } from "../../oncue.js"
import { NodeWebSocket, Subscriber as NodeSubscriber } from "../../node.js"

export async function browser(signal: AbortSignal): Promise<void> {
  const subscriber = new Subscriber("ws://127.0.0.1:9180/", {
    topics: ["prices/", new Uint8Array([0])],
    whenFull: "latest",
    queueMessagesMax: 10,
    signal,
    WebSocket,
  })
  subscriber.addEventListener("state", () => {
    const state: SubscriberState = subscriber.state
    if (state.name === "closed") console.log(state.reason.length, state.retryMs ?? "not again")
  })
  subscriber.subscribe("a").subscribe("b")
  const held: boolean = subscriber.unsubscribe("a")
  for await (const message of subscriber) {
    const { a } = message.json<{ a: number }>()
    console.log(held, message.topic.length, message.frames[0]?.byteLength, message.text(1), a + subscriber.counts.dropped)
  }
  await subscriber.close()
}

export const node = new NodeSubscriber(new URL("ws://127.0.0.1:9180/"), { WebSocket: NodeWebSocket })
export const error: Error = new ConnectionError("reason")
export const message = new Message([new Uint8Array()])

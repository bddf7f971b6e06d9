/** What must be refused by the types: each comment fails if the line after it is accepted. */

import { Subscriber } from "../../oncue.js"

// @ts-expect-error: an unknown option
new Subscriber("ws://127.0.0.1/", { queueMessageMax: 10 })
// @ts-expect-error: an unknown policy
new Subscriber("ws://127.0.0.1/", { whenFull: "wait" })
const subscriber = new Subscriber("ws://127.0.0.1/")
// @ts-expect-error: a topic is not a number
subscriber.subscribe(7)
// @ts-expect-error: the state is read only
subscriber.state.name = "open"
// @ts-expect-error: a reason only when closed
subscriber.state.reason.length
// @ts-expect-error: no such event
subscriber.addEventListener("message", () => {})

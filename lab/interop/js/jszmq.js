// A socket of jszmq, driven by lines on standard input as py/peer.py is. The argument is the directory of the package. The other
// half is src/foreign.rs. A connection that is refused ends this process: jszmq has no handler for it.

"use strict"

const { once } = require("node:events")
const http = require("node:http")
const obey = require("./obey.js")
const jszmq = require(process.argv[2])

const KINDS = { PUB: "Pub", SUB: "Sub", XPUB: "XPub", XSUB: "XSub" }

const hexed = (bytes) => bytes.toString("hex") || "-"
const unhex = (word) => (word === "-" ? Buffer.alloc(0) : Buffer.from(word, "hex"))

let socket
const messages = []
let arrived = () => {}

function change(sign, prefix) {
  if (!(socket instanceof jszmq.Sub)) socket.send(Buffer.concat([Buffer.from([sign]), prefix]))
  else if (sign) socket.subscribe(prefix)
  else socket.unsubscribe(prefix)
}

const orders = {
  new: (kind) => {
    socket = new jszmq[KINDS[kind]]()
    socket.options.reconnectInterval = 20
    socket.on("message", (...frames) => {
      messages.push(frames)
      arrived()
    })
  },
  // On a server of its own: jszmq does not tell which port it has got.
  bind: async (endpoint) => {
    const url = new URL(endpoint.replace(/:\*/, ":0"))
    const server = http.createServer()
    server.listen(Number(url.port), url.hostname)
    await once(server, "listening")
    url.port = server.address().port
    socket.bind(url.href, server)
    return url.href
  },
  connect: (endpoint) => socket.connect(endpoint),
  disconnect: (endpoint) => socket.disconnect(endpoint),
  subscribe: (prefix) => change(1, unhex(prefix)),
  unsubscribe: (prefix) => change(0, unhex(prefix)),
  send: (...frames) => socket.send(frames.map(unhex)),
  recv: async (milliseconds) => {
    if (!messages.length) {
      await new Promise((done) => {
        const timer = setTimeout(done, Number(milliseconds))
        arrived = () => {
          clearTimeout(timer)
          done()
        }
      })
    }
    return messages.length ? `message ${messages.shift().map(hexed).join(" ")}` : "none"
  },
  close: () => socket.close(),
}

obey(orders)

// A socket of zeromq.js, driven by lines on standard input as py/peer.py is. The argument is the directory of the package. The
// other half is src/foreign.rs.

"use strict"

const obey = require("./obey.js")
const zmq = require(process.argv[2])

const KINDS = { PUB: zmq.Publisher, SUB: zmq.Subscriber, XPUB: zmq.XPublisher, XSUB: zmq.XSubscriber }
const OPTIONS = {
  CURVE_SERVER: "curveServer",
  CURVE_SECRETKEY: "curveSecretKey",
  CURVE_PUBLICKEY: "curvePublicKey",
  CURVE_SERVERKEY: "curveServerKey",
  PLAIN_SERVER: "plainServer",
  PLAIN_USERNAME: "plainUsername",
  PLAIN_PASSWORD: "plainPassword",
}
const FLAGS = ["curveServer", "plainServer"]

const hexed = (bytes) => bytes.toString("hex") || "-"
const unhex = (word) => (word === "-" ? Buffer.alloc(0) : Buffer.from(word, "hex"))

let socket
let handler
let users = () => false
const events = []
let arrived = () => {}

const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

/** The text of a key (RFC 32). */
function z85(bytes) {
  let text = ""
  for (let at = 0; at < bytes.length; at += 4) {
    const group = bytes.readUInt32BE(at)
    for (const weight of [85 ** 4, 85 ** 3, 85 ** 2, 85, 1]) text += DIGITS[Math.floor(group / weight) % 85]
  }
  return text
}

/** Answers the requests of ZAP (RFC 27) by `users`, from its return on: without a handler libzmq refuses, and may not try again. */
async function authenticate() {
  if (handler) return
  handler = new zmq.Reply()
  await handler.bind("inproc://zeromq.zap.01")
  serve()
}

async function serve() {
  for await (const [version, id, , , , mechanism, ...credentials] of handler) {
    const good = users(mechanism.toString(), credentials)
    await handler.send([version, id, good ? "200" : "400", good ? "OK" : "no", "", ""])
  }
}

async function change(sign, prefix) {
  if (socket instanceof zmq.Subscriber) sign ? socket.subscribe(prefix) : socket.unsubscribe(prefix)
  else await socket.send(Buffer.concat([Buffer.from([sign]), prefix]))
}

const orders = {
  new: (kind) => void (socket = new KINDS[kind]({ linger: 0, reconnectInterval: 20 })),
  set: (option, value) => {
    const name = OPTIONS[option]
    socket[name] = FLAGS.includes(name) ? value !== "0" : Number(value)
  },
  set_bytes: (option, value) => void (socket[OPTIONS[option]] = unhex(value).toString()),
  bind: async (endpoint) => {
    await socket.bind(endpoint)
    return socket.lastEndpoint
  },
  connect: (endpoint) => socket.connect(endpoint),
  subscribe: (prefix) => change(1, unhex(prefix)),
  unsubscribe: (prefix) => change(0, unhex(prefix)),
  send: (...frames) => socket.send(frames.map(unhex)),
  recv: async (milliseconds) => {
    socket.receiveTimeout = Number(milliseconds)
    try {
      return "message " + (await socket.receive()).map(hexed).join(" ")
    } catch (error) {
      if (error.code === "EAGAIN") return "none"
      throw error
    }
  },
  let_in_plain: (user, password) => {
    users = (mechanism, [name, word]) =>
      mechanism === "PLAIN" && name.equals(unhex(user)) && word.equals(unhex(password))
    return authenticate()
  },
  let_in_curve: (...keys) => {
    users = (mechanism, [key]) => mechanism === "CURVE" && keys.includes(hexed(Buffer.from(z85(key))))
    return authenticate()
  },
  observe: async () => {
    const observed = socket.events
    ;(async () => {
      for await (const event of observed) {
        events.push(event.type)
        arrived()
      }
    })()
  },
  event: async (milliseconds) => {
    if (!events.length) {
      await new Promise((done) => {
        arrived = done
        setTimeout(done, Number(milliseconds))
      })
    }
    return events.shift() ?? "none"
  },
}

obey(orders)

/** `wss://` by the WebSocket of node-websocket.js: whom it trusts. */

import assert from "node:assert/strict"
import { execFile, execFileSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { test } from "node:test"
import tls from "node:tls"
import { promisify } from "node:util"

import { NodeWebSocket, Subscriber } from "../node.js"
import { Peer, message } from "./server.js"

const openssl = (...args) => execFileSync("openssl", args, { stdio: "ignore" })
const skip = (() => {
  try {
    openssl("version")
    return false
  } catch {
    return "there is no openssl to make a certificate"
  }
})()

/** A TLS server that publishes `secret` to each of its peers, and the file of its own certificate. */
async function server(context) {
  const directory = mkdtempSync(path.join(tmpdir(), "oncue-js-"))
  context.after(() => rmSync(directory, { recursive: true }))
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => path.join(directory, name))
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
  openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", key, "-out", cert, ...names)
  const listener = tls.createServer({ key: readFileSync(key), cert: readFileSync(cert) }, async (socket) => {
    const peer = await new Peer(socket).accept()
    await peer.until(() => peer.wanted.has("a"))
    peer.send(message("a", "secret"))
  })
  listener.on("tlsClientError", () => {})
  listener.listen(0, "127.0.0.1")
  await once(listener, "listening")
  context.after(() => listener.close())
  return { port: listener.address().port, cert }
}

test("a certificate that nobody vouches for is refused", { skip, timeout: 20_000 }, async (context) => {
  const { port } = await server(context)
  const subscriber = new Subscriber(`wss://localhost:${port}/`, { WebSocket: NodeWebSocket, reconnect: false })
  await assert.rejects(subscriber.next(), { name: "ConnectionError", message: /self-signed certificate/ })
})

test("a trusted certificate is accepted for its own name only", { skip, timeout: 20_000 }, async (context) => {
  const { port, cert } = await server(context)
  const script = `
    import { NodeWebSocket, Subscriber } from "${new URL("../node.js", import.meta.url)}"
    const options = { WebSocket: NodeWebSocket, topics: ["a"], reconnect: false }
    const first = new Subscriber("wss://localhost:${port}/", options)
    console.log((await first.next()).value.text())
    await first.close()
    await new Subscriber("wss://127.0.0.1:${port}/", options).next().catch(({ message }) => console.log(message))`
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: cert }
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], { env })
  const [value, refusal] = stdout.trim().split("\n")
  assert.equal(value, "secret")
  assert.match(refusal, /127\.0\.0\.1.*does not match certificate/)
})

/** The page in front of a real server: HTTP requests get the page, and WebSocket requests go to the server as they are. */

import { once } from "node:events"
import http from "node:http"
import net from "node:net"

import { assembled, policy } from "./mock.mjs"

/** The URL of the page for the server at `url`. It ends with the test. */
export async function front(test, url) {
  const html = await assembled()
  const { hostname, port } = new URL(url)
  const server = http.createServer((_, response) => {
    response.setHeader("Content-Type", "text/html; charset=utf-8")
    response.setHeader("Content-Security-Policy", policy(html))
    response.end(html)
  })
  server.on("upgrade", ({ method, url, rawHeaders }, socket) => {
    const fields = rawHeaders.map((text, at) => (at % 2 ? `${text}\r\n` : `${text}: `)).join("")
    const onward = net.connect(Number(port), hostname, () => onward.write(`${method} ${url} HTTP/1.1\r\n${fields}\r\n`))
    onward.pipe(socket).pipe(onward)
    for (const end of [onward, socket]) end.on("error", () => end.destroy()).on("close", () => (onward.destroy(), socket.destroy()))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  test.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${server.address().port}/`
}

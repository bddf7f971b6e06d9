// Takes orders from standard input, a line each, and answers each with a line: `ok`, and what the order returns, or `error`.

"use strict"

const readline = require("node:readline")

module.exports = async (orders) => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [order, ...words] = line.split(" ")
    try {
      const answer = await orders[order](...words)
      console.log(answer === undefined ? "ok" : `ok ${answer}`)
    } catch (error) {
      console.log(`error ${String(error).replaceAll("\n", " ")}`)
    }
  }
  process.exit(0)
}

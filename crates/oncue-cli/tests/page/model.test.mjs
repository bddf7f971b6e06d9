/** What the page makes of the messages: rates, histories, unserved prefixes, the order of rows. */

import assert from "node:assert/strict"
import { test } from "node:test"

import { Model } from "../../src/page/model.mjs"

const look = (model, section, query = {}) => model.window(section, { from: 0, to: 100, ...query }).rows
const demand = (time, topics, prefixes = []) => ({ time, topics, prefixes })
const topic = (name, values, fields = {}) => ({ topic: name, route: "r", state: "running", subscribers: 1, values, ...fields })
const known = (samples) => [...samples].filter((sample) => !Number.isNaN(sample))

test("a rate is what was added, by the time between two messages", () => {
  const model = new Model()
  model.apply("demand", demand(10, [topic("a", 100)]))
  assert.ok(Number.isNaN(look(model, "topics")[0].rate))
  model.apply("demand", demand(12, [topic("a", 130)]))
  assert.equal(look(model, "topics")[0].rate, 15)
  model.apply("demand", demand(13, [topic("a", 4)]))
  assert.equal(look(model, "topics")[0].rate, 4, "a feed that began anew")
  model.apply("demand", demand(13, [topic("a", 9)]))
  assert.equal(look(model, "topics")[0].rate, 4, "no time has passed")
})

test("a history has a minute, and a hole where nothing was observed", () => {
  const model = new Model()
  for (let time = 1; time <= 100; time += 1) model.apply("demand", demand(time, [topic("a", time * time)]))
  const [{ samples }] = look(model, "topics")
  assert.deepEqual([samples.length, samples[0], samples[59]], [60, 81, 199])
  model.pause()
  model.apply("demand", demand(1000, [topic("a", 20_000)]))
  model.apply("demand", demand(1001, [topic("a", 20_007)]))
  const after = look(model, "topics")[0].samples
  assert.deepEqual([...after.subarray(56)], [199, NaN, NaN, 7])
})

test("a topic that goes and comes back begins a new history", () => {
  const model = new Model()
  for (let time = 1; time < 9; time += 1) model.apply("demand", demand(time, [topic("a", time)]))
  model.apply("demand", demand(9, []))
  assert.deepEqual(look(model, "topics"), [])
  model.apply("demand", demand(10, [topic("a", 1)]))
  assert.deepEqual(known(look(model, "topics")[0].samples), [])
})

test("a prefix is shown as unserved only if no topic begins with it", () => {
  const model = new Model()
  const prefixes = ["", "a/", "a/1", "a/12", "b", "z"].map((prefix) => ({ prefix, subscribers: 2, peers: [] }))
  model.apply("demand", demand(1, [topic("a/1", 0), topic("b/1", 0)], prefixes))
  const rows = look(model, "topics", { sort: "topic" })
  assert.deepEqual(rows.map(({ topic, state }) => `${topic} ${state}`), ["a/1 running", "a/12 no topic", "b/1 running", "z no topic"])
  model.apply("demand", demand(2, [], prefixes.slice(0, 1)))
  assert.deepEqual(look(model, "topics").map(({ topic }) => topic), [""])
})

test("topics of the same text and different bytes are different rows", () => {
  const model = new Model()
  model.apply("demand", demand(1, [topic("\uFFFD", 1, { topic_base64: "/w==" }), topic("\uFFFD", 2, { topic_base64: "/g==" })]))
  assert.deepEqual(look(model, "topics").map(({ key, values }) => [key, values]), [["/w==", 1], ["/g==", 2]])
})

test("rows are searched by words, and sorted with what is unknown last when descending", () => {
  const model = new Model()
  const first = (name, value) => topic(name, 0, { first_value_seconds: value })
  model.apply("demand", demand(1, [first("b/x", 0.2), first("a/x", undefined), first("c/y", 0.1)]))
  const order = (query) => look(model, "topics", query).map(({ topic }) => topic)
  assert.deepEqual(order({ sort: "first_value_seconds", descending: true }), ["b/x", "c/y", "a/x"])
  assert.deepEqual(order({ sort: "topic", search: "X r" }), ["a/x", "b/x"])
  assert.deepEqual(order({ sort: "topic", from: 1, to: 2 }), ["b/x"])
  assert.deepEqual(model.window("topics", { search: "y", from: 0, to: 9 }).matched, 1)
})

test("the newest 500 events are kept", () => {
  const model = new Model()
  for (let time = 0; time < 700; time += 1) model.apply("events", { time, event: "wanted", prefix: `${time}` })
  const rows = look(model, "events", { to: 1_000 })
  assert.deepEqual([rows.length, rows[0].about, rows[499].about], [500, "699", "200"])
})

test("the time to the first value is the mean over all feeds", () => {
  const model = new Model()
  const route = (pattern, first_values, first_value_seconds) => ({ pattern, first_values, first_value_seconds, values: 0, catalogue: [] })
  model.apply("stats", { time: 1, values: 0 })
  assert.equal(model.overview().first_value_seconds, undefined)
  model.apply("routes", { time: 1, routes: [route("a", 1, 4), route("b", 3, 0), route("c", 0, 0)] })
  assert.equal(model.overview().first_value_seconds, 1)
})

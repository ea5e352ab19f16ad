// How the feed falls back to Server-Sent Events, and how it uses them.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Feed } from "../../static/feed.js"
import {
  Events,
  FakeStorage,
  Socket,
  answerWith,
  ended,
  feedOn,
  page,
  requests,
  settled,
  snapshot,
  watchOverEvents,
  watchOverSocket,
} from "./fakes.js"

test("two sockets that fail give way to server-sent events", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna", "ben")
  Events.last.hear(snapshot("anna", 3))

  assert.equal(2, Socket.opened.length)
  assert.equal("https://prog.example/events?job=anna&job=ben", Events.last.url.href)
  assert.deepEqual(["reconnecting", "sse"], feed.transports)
  assert.deepEqual([3], feed.seen)
})

test("two sockets that open and say nothing give way to server-sent events", async (t) => {
  const feed = feedOn(t)
  feed.watch("anna")
  await settled()
  Socket.last.open()
  t.mock.timers.tick(10_000)
  t.mock.timers.tick(100)
  Socket.last.open()
  t.mock.timers.tick(10_000)
  t.mock.timers.tick(250)

  assert.equal(2, Socket.opened.length)
  assert.equal(1, Events.opened.length)
})

test("the session remembers that sockets do not get through, for some minutes", async (t) => {
  const storage = new FakeStorage()
  await watchOverEvents(t, feedOn(t, { storage }), "anna")

  const nextPage = new Feed({ base: "https://prog.example/", WebSocket: Socket, EventSource: Events, storage, page })
  nextPage.watch("anna")
  await settled()
  assert.equal(2, Socket.opened.length)
  assert.equal(2, Events.opened.length)

  t.mock.timers.tick(5 * 60_000)
  const laterPage = new Feed({ base: "https://prog.example/", WebSocket: Socket, EventSource: Events, storage, page })
  laterPage.watch("anna")
  await settled()
  assert.equal(3, Socket.opened.length)
})

test("an outage of everything is not held against sockets", async (t) => {
  const storage = new FakeStorage()
  const feed = feedOn(t, { storage })
  await watchOverSocket(feed, "anna")
  t.mock.timers.tick(1000)
  answerWith(...Array(9).fill([503, {}]))
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.drop()
  t.mock.timers.tick(250)
  Socket.last.drop()
  t.mock.timers.tick(500)
  Events.last.fail()
  t.mock.timers.tick(1000)

  assert.equal(4, Socket.opened.length)
  Socket.last.hear({ accept: true })
  assert.equal("websocket", feed.transport)
  assert.equal(null, storage.getItem("progrock.sse-until"))
})

test("events that got through only after an outage are not remembered", async (t) => {
  const storage = new FakeStorage()
  const feed = feedOn(t, { storage })
  answerWith(...Array(9).fill([503, {}]))
  feed.watch("anna")
  await settled()
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.drop()
  t.mock.timers.tick(250)
  Events.last.fail()
  t.mock.timers.tick(500)
  Socket.last.drop()
  t.mock.timers.tick(1000)
  Events.last.open()

  assert.equal("sse", feed.transport)
  assert.equal(null, storage.getItem("progrock.sse-until"))
})

test("an event source that is refused is replaced, and says what it has seen if it is of one job", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  Events.last.hear(snapshot("anna", 5))
  t.mock.timers.tick(1000)
  Events.last.fail()
  t.mock.timers.tick(100)

  assert.equal(2, Events.opened.length)
  assert.equal("?job=anna&last_event_id=anna%3A5", Events.last.url.search)
})

test("an event source of several jobs is replaced without saying what it has seen", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna", "ben")
  Events.last.hear(snapshot("anna", 5))
  t.mock.timers.tick(1000)
  Events.last.fail()
  t.mock.timers.tick(100)

  assert.equal("?job=anna&job=ben", Events.last.url.search)
})

test("an event source that reconnects by itself is left alone", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  Events.last.fail(0)
  assert.equal("reconnecting", feed.transport)

  t.mock.timers.tick(20_000)
  assert.equal(1, Events.opened.length)
  Events.last.open()
  assert.equal("sse", feed.transport)
})

test("server-sent events that fail again and again keep backing off, and the jobs are asked for one by one", async (t) => {
  const feed = feedOn(t, { WebSocket: null })
  answerWith(...Array.from({ length: 8 }, (_, index) => [200, snapshot("anna", index + 1)]))
  feed.watch("anna")
  await settled()
  for (const delayMs of [100, 250, 500, 1000, 2000, 5000, 5000]) {
    const before = Events.opened.length
    Events.last.fail()
    t.mock.timers.tick(delayMs - 1)
    assert.equal(before, Events.opened.length)
    t.mock.timers.tick(1)
    assert.equal(before + 1, Events.opened.length)
    await settled()
  }

  assert.deepEqual([1, 2, 3, 4, 5, 6, 7], feed.seen)
})

test("another job reopens the event source, once for all that were added together", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  feed.watch("ben")
  feed.watch("clara")
  await settled()

  assert.equal(2, Events.opened.length)
  assert.equal(true, Events.opened[0].closed)
  assert.deepEqual(["anna", "ben", "clara"], Events.last.url.searchParams.getAll("job"))
})

test("a job that finishes does not reopen the event source", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna", "ben")
  Events.last.hear(ended("anna", 2))
  await settled()
  assert.equal(1, Events.opened.length)

  Events.last.hear(ended("ben", 2))
  await settled()
  assert.equal(true, Events.last.closed)
  assert.equal("idle", feed.transport)
})

test("the end of the events is the end, after a last look at what was not seen to finish", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  answerWith([200, ended("anna", 8)])
  Events.last.dispatchEvent(new Event("end"))
  await settled()
  t.mock.timers.tick(60_000)

  assert.deepEqual(["GET /jobs/anna"], requests)
  assert.deepEqual([8], feed.seen)
  assert.equal(true, Events.last.closed)
  assert.equal(1, Events.opened.length)
  assert.equal("idle", feed.transport)
})

test("a job that is gone from the events is looked up, and watched no longer", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna", "bert")
  Events.last.hear({ job: "anna" }, "gone")
  await settled()

  assert.deepEqual(["GET /jobs/anna"], requests)
  assert.equal("anna", feed.refusals[0].job)
  assert.deepEqual(["bert"], Events.last.url.searchParams.getAll("job"))
})

test("heartbeat events keep the event source alive", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  for (let beats = 0; beats < 5; beats += 1) {
    t.mock.timers.tick(20_000)
    Events.last.dispatchEvent(new Event("heartbeat"))
  }
  assert.equal(false, Events.last.closed)

  t.mock.timers.tick(45_000)
  assert.equal(true, Events.opened[0].closed)
})

test("the network's return does not wait for an event source to reconnect by itself", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  Events.last.fail(0)
  page.dispatchEvent(new Event("online"))

  assert.equal(true, Events.opened[0].closed)
  assert.equal(2, Events.opened.length)
})

// How the feed holds on to its stream: back-off, silence, and a page that is hidden or left.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Socket, feedOn, page, settled, snapshot, watchOverSocket } from "./fakes.js"

test("a reconnect asks for what came after the last revision", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.hear(snapshot("anna", 12))
  Socket.last.drop()
  assert.equal("reconnecting", feed.transport)

  t.mock.timers.tick(100)
  Socket.last.hear({ accept: true })

  assert.equal(2, Socket.opened.length)
  assert.deepEqual([{ action: "watch", job: "anna", after: 12 }], Socket.last.sent)
  assert.deepEqual(["websocket", "reconnecting", "websocket"], feed.transports)
})

test("the back-off grows up to five seconds", async (t) => {
  const feed = feedOn(t, { EventSource: null })
  feed.watch("anna")
  await settled()

  for (const delayMs of [100, 250, 500, 1000, 2000, 5000, 5000]) {
    const before = Socket.opened.length
    Socket.last.drop()
    t.mock.timers.tick(delayMs - 1)
    assert.equal(before, Socket.opened.length)
    t.mock.timers.tick(1)
    assert.equal(before + 1, Socket.opened.length)
  }
})

test("the back-off is jittered over its whole length", async (t) => {
  const feed = feedOn(t, { random: () => 0.25 })
  feed.watch("anna")
  await settled()
  Socket.last.drop()

  t.mock.timers.tick(24)
  assert.equal(1, Socket.opened.length)
  t.mock.timers.tick(1)
  assert.equal(2, Socket.opened.length)
})

test("a connection that held starts the back-off anew", async (t) => {
  const feed = feedOn(t, { EventSource: null })
  feed.watch("anna")
  await settled()
  for (const delayMs of [100, 250, 500]) {
    Socket.last.drop()
    t.mock.timers.tick(delayMs)
  }
  Socket.last.hear({ accept: true })
  t.mock.timers.tick(1000)
  Socket.last.drop()
  t.mock.timers.tick(100)

  assert.equal(5, Socket.opened.length)
})

test("a server that breaks as soon as it has spoken is asked less and less often", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.hear({ accept: true })
  Socket.last.drop()

  t.mock.timers.tick(249)
  assert.equal(2, Socket.opened.length)
  t.mock.timers.tick(1)
  assert.equal(3, Socket.opened.length)
})

test("a server that drains says when to come back", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.hear({ reconnect_in_ms: 3000 })
  Socket.last.drop()

  t.mock.timers.tick(2999)
  assert.equal(1, Socket.opened.length)
  t.mock.timers.tick(1)
  assert.equal(2, Socket.opened.length)
})

test("silence for 45 seconds is a lost connection", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  t.mock.timers.tick(44_000)
  Socket.last.hear({ heartbeat: true })
  t.mock.timers.tick(44_999)
  assert.equal(false, Socket.last.closed)

  t.mock.timers.tick(1)
  assert.equal(true, Socket.opened[0].closed)
  assert.equal("reconnecting", feed.transport)
  t.mock.timers.tick(100)
  assert.equal(2, Socket.opened.length)
})

test("a lost socket that closes late does no harm", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  t.mock.timers.tick(45_000)
  t.mock.timers.tick(100)
  Socket.last.hear({ accept: true })

  Socket.opened[0].drop()
  Socket.opened[0].hear(snapshot("anna", 99))

  assert.equal("websocket", feed.transport)
  assert.deepEqual([], feed.seen)
})

test("a hidden page does not reconnect, and does so at once when it is shown", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  page.document.hidden = true
  page.dispatchEvent(new Event("visibilitychange"))
  Socket.last.drop()
  t.mock.timers.tick(60_000)
  assert.equal(1, Socket.opened.length)

  page.document.hidden = false
  page.dispatchEvent(new Event("visibilitychange"))
  assert.equal(2, Socket.opened.length)
})

test("a page that is shown keeps a stream that is well, and replaces one that has missed a heartbeat", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  t.mock.timers.tick(24_000)
  page.dispatchEvent(new Event("visibilitychange"))
  assert.equal(1, Socket.opened.length)

  t.mock.timers.tick(1_000)
  page.dispatchEvent(new Event("visibilitychange"))
  assert.equal(2, Socket.opened.length)
  assert.equal(true, Socket.opened[0].closed)
})

test("the network's return ends the waiting", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.drop()
  page.dispatchEvent(new Event("online"))

  assert.equal(2, Socket.opened.length)
  t.mock.timers.tick(5000)
  assert.equal(2, Socket.opened.length)
})

test("a page in the back-forward cache holds no stream, and takes it up again", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.hear(snapshot("anna", 3))
  page.dispatchEvent(new Event("pagehide"))
  assert.equal(true, Socket.last.closed)
  feed.watch("ben")
  await settled()
  t.mock.timers.tick(60_000)
  assert.equal(1, Socket.opened.length)

  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }))
  Socket.last.hear({ accept: true })
  assert.deepEqual([{ action: "watch", job: "anna", after: 3 }, { action: "watch", job: "ben" }], Socket.last.sent)
})

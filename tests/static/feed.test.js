// The feed: the jobs that are watched, the order of their news, and the requests for them.

import assert from "node:assert/strict"
import { test } from "node:test"

import {
  Socket,
  answerWith,
  ended,
  feedOn,
  requests,
  settled,
  snapshot,
  watchOverEvents,
  watchOverSocket,
} from "./fakes.js"

test("one socket carries all jobs, and asks for batches", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna", "ben")

  assert.deepEqual(["wss://prog.example/prog/?batch=1"], Socket.opened.map(({ url }) => url.href))
  assert.deepEqual([{ action: "watch", job: "anna" }, { action: "watch", job: "ben" }], Socket.last.sent)
  assert.deepEqual(["websocket"], feed.transports)
})

test("nothing is asked before the server has accepted", async (t) => {
  const feed = feedOn(t)
  feed.watch("anna")
  await settled()
  Socket.last.open()

  assert.deepEqual([], Socket.last.sent)
  assert.equal("idle", feed.transport)
})

test("a stale revision is ignored", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")

  for (const revision of [2, 1, 2, 3]) Socket.last.hear(snapshot("anna", revision))

  assert.deepEqual([2, 3], feed.seen)
})

test("an end counts once, whatever its revision", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")

  Socket.last.hear(snapshot("anna", 9))
  for (const revision of [4, 4]) Socket.last.hear(ended("anna", revision))

  assert.deepEqual([9, 4], feed.seen)
})

test("what the page shows already is not said again", async (t) => {
  const feed = feedOn(t)
  feed.watch("anna", 7)
  await settled()
  Socket.last.hear({ accept: true })
  Socket.last.hear(snapshot("anna", 7))

  assert.deepEqual([{ action: "watch", job: "anna", after: 7 }], Socket.last.sent)
  assert.deepEqual([], feed.seen)
})

test("a batch is several snapshots", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna", "ben")

  Socket.last.hear([snapshot("anna", 4), snapshot("ben", 9)])

  assert.deepEqual([4, 9], feed.seen)
})

test("the stream is closed when the last job has finished, and opened again for the next", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna", "ben")

  Socket.last.hear(ended("anna", 2))
  await settled()
  assert.equal(false, Socket.last.closed)

  Socket.last.hear(ended("ben", 2))
  await settled()
  assert.equal(true, Socket.last.closed)
  assert.equal("idle", feed.transport)

  await watchOverSocket(feed, "clara")
  assert.equal(2, Socket.opened.length)
  assert.deepEqual([{ action: "watch", job: "clara" }], Socket.last.sent)
})

test("a job that is watched later joins the open socket, and one that is left is unwatched", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  feed.watch("ben")
  feed.unwatch("anna")
  await settled()

  assert.equal(1, Socket.opened.length)
  assert.deepEqual([{ action: "unwatch", job: "anna" }, { action: "watch", job: "ben" }], Socket.last.sent.slice(1))
})

test("a job that is known to nobody is watched no longer", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  Socket.last.hear({ error: { code: "not_found", message: "There is no such job." }, action: "watch", job: "anna" })
  await settled()

  assert.deepEqual(["GET /jobs/anna"], requests)
  assert.equal("There is no such job.", feed.refusals[0].error.message)
  assert.equal("idle", feed.transport)
})

test("a watch that was refused for another reason is asked for again", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  answerWith([200, snapshot("anna", 4)])
  Socket.last.hear({ error: { code: "unavailable", message: "Not now." }, action: "watch", job: "anna" })
  await settled()
  t.mock.timers.tick(5000)
  await settled()

  assert.deepEqual({ action: "watch", job: "anna", after: 4 }, Socket.last.sent.at(-1))
})

test("stop goes over the socket where there is one", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  await feed.cancel("anna")

  assert.deepEqual({ action: "cancel", job: "anna" }, Socket.last.sent.at(-1))
  assert.deepEqual([], requests)
})

test("stop goes over HTTP where there is no socket, and its answer is news", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  answerWith([202, snapshot("anna", 6, { status: "stopping" })])
  await feed.cancel("anna")

  assert.deepEqual(["DELETE /jobs/anna"], requests)
  assert.deepEqual([6], feed.seen)
})

test("a stop that was refused says why", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  answerWith([409, { detail: "This backend cannot stop a job." }])
  await feed.cancel("anna")

  assert.deepEqual(
    [{ job: "anna", action: "cancel", error: { code: "409", message: "This backend cannot stop a job." } }],
    feed.refusals,
  )
})

test("a stop that was lost with its socket is said again on the next", async (t) => {
  const feed = feedOn(t)
  await watchOverSocket(feed, "anna")
  await feed.cancel("anna")
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.hear({ accept: true })
  assert.deepEqual([{ action: "watch", job: "anna" }, { action: "cancel", job: "anna" }], Socket.last.sent)

  Socket.last.hear(snapshot("anna", 2, { status: "stopping" }))
  Socket.last.drop()
  t.mock.timers.tick(250)
  Socket.last.hear({ accept: true })
  assert.deepEqual([{ action: "watch", job: "anna", after: 2 }], Socket.last.sent)
})

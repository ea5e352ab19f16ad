// The feed without a browser: sockets and event sources are fakes, time is a mock.

import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"

import { Feed } from "../../static/feed.js"

class FakeSource extends EventTarget {
  static CLOSED = 2
  static opened = []

  readyState = 0
  sent = []
  closed = false

  constructor(url) {
    super()
    this.url = new URL(url)
    this.constructor.opened.push(this)
  }

  static get last() {
    return this.opened.at(-1)
  }

  send(text) {
    this.sent.push(JSON.parse(text))
  }

  close() {
    this.closed = true
  }

  hear(frame, type = "message") {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(frame) }))
  }

  open() {
    this.readyState = 1
    this.dispatchEvent(new Event("open"))
  }

  drop() {
    this.readyState = 3
    this.dispatchEvent(new Event("close"))
  }

  fail(readyState = FakeSource.CLOSED) {
    this.readyState = readyState
    this.dispatchEvent(new Event("error"))
  }
}

class Socket extends FakeSource {
  static opened = []
}

class Events extends FakeSource {
  static opened = []
}

class FakeStorage extends Map {
  getItem(key) {
    return this.get(key) ?? null
  }

  setItem(key, value) {
    this.set(key, value)
  }

  removeItem(key) {
    this.delete(key)
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

let page, requests, answers

beforeEach(() => {
  Socket.opened.length = 0
  Events.opened.length = 0
  page = Object.assign(new EventTarget(), { document: { hidden: false } })
  requests = []
  answers = []
})

function feedOn(t, surroundings = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_800_000_000_000 })
  const feed = new Feed({
    base: "https://prog.example/jobs/anna",
    WebSocket: Socket,
    EventSource: Events,
    fetch: async (url, { method }) => {
      requests.push(`${method} ${url.pathname}`)
      const [status, body] = answers.shift() ?? [404, { detail: "There is no such job." }]
      return { ok: status < 400, status, json: async () => body }
    },
    storage: null,
    random: () => 1,
    page,
    ...surroundings,
  })
  feed.seen = []
  feed.addEventListener("job", ({ detail }) => feed.seen.push(detail.revision))
  feed.transports = []
  feed.addEventListener("transport", ({ detail }) => feed.transports.push(detail))
  feed.refusals = []
  feed.addEventListener("refused", ({ detail }) => feed.refusals.push(detail))
  return feed
}

const snapshot = (job, revision, more = {}) => ({ job, revision, status: "running", finished: false, ...more })
const ended = (job, revision) => snapshot(job, revision, { status: "succeeded", finished: true })

async function watchOverSocket(feed, ...jobs) {
  for (const job of jobs) feed.watch(job)
  await settled()
  Socket.last.hear({ accept: true })
}

async function watchOverEvents(t, feed, ...jobs) {
  for (const job of jobs) feed.watch(job)
  await settled()
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.drop()
  t.mock.timers.tick(250)
  Events.last.open()
}

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
  answers = Array(9).fill([503, {}])
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
  answers = Array(9).fill([503, {}])
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
  answers = Array.from({ length: 8 }, (_, index) => [200, snapshot("anna", index + 1)])
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
  answers = [[200, ended("anna", 8)]]
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
  answers = [[200, snapshot("anna", 4)]]
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
  answers = [[202, snapshot("anna", 6, { status: "stopping" })]]
  await feed.cancel("anna")

  assert.deepEqual(["DELETE /jobs/anna"], requests)
  assert.deepEqual([6], feed.seen)
})

test("a stop that was refused says why", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  answers = [[409, { detail: "This backend cannot stop a job." }]]
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

test("the network's return does not wait for an event source to reconnect by itself", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  Events.last.fail(0)
  page.dispatchEvent(new Event("online"))

  assert.equal(true, Events.opened[0].closed)
  assert.equal(2, Events.opened.length)
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

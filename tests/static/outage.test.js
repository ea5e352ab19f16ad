// The feed after an outage: a page that had a WebSocket gets one again, and a page that cannot have one rests.

import assert from "node:assert/strict"
import { test } from "node:test"

import { Feed } from "../../static/feed.js"
import {
  Events,
  FakeSource,
  FakeStorage,
  Socket,
  feedOn,
  page,
  settled,
  snapshot,
  watchOverEvents,
  watchOverSocket,
} from "./fakes.js"

const LATENCY_MS = 20
const STEP_MS = 10
const BROWSER_RETRY_MS = 1000
const CONNECTING = 0
const CLOSED = 2

/** A server that can be away, behind a network that may block sockets, and the browser's ways of reaching it. */
class World {
  isUp = true
  passesSockets = true
  /** how an event source fails: the browser tries again if nothing answers, but not if a proxy answers 502 */
  failure = CONNECTING
  sockets = 0
  connected = new Set()

  constructor(t) {
    this.timers = t.mock.timers
    this.timers.enable({ apis: ["setTimeout", "Date"], now: 1_800_000_000_000 })
  }

  feed(random, storage = null) {
    const feed = new Feed({
      base: "https://prog.example/",
      WebSocket: socketsOf(this),
      EventSource: eventsOf(this),
      fetch: async () => this.answer(),
      storage,
      random,
      page: new EventTarget(),
    })
    feed.watch("anna")
    return feed
  }

  answer() {
    if (!this.isUp) throw new TypeError("Failed to fetch")
    return { ok: true, status: 200, json: async () => snapshot("anna", 1) }
  }

  cutAll() {
    for (const source of [...this.connected]) source.leave()
  }

  async outage(durationMs) {
    this.isUp = false
    this.cutAll()
    await this.pass(durationMs)
    this.isUp = true
  }

  async pass(durationMs) {
    for (let passedMs = 0; passedMs < durationMs; passedMs += STEP_MS) {
      this.timers.tick(STEP_MS)
      await settled()
    }
  }
}

function socketsOf(world) {
  return class extends FakeSource {
    static opened = []

    constructor(url) {
      super(url)
      world.sockets += 1
      setTimeout(() => this.arrive(), LATENCY_MS)
    }

    arrive() {
      if (this.closed) return
      if (!world.isUp || !world.passesSockets) return this.leave()

      world.connected.add(this)
      this.hear({ accept: true })
    }

    leave() {
      world.connected.delete(this)
      this.drop()
    }
  }
}

function eventsOf(world) {
  return class extends FakeSource {
    static opened = []

    constructor(url) {
      super(url)
      setTimeout(() => this.arrive(), LATENCY_MS)
    }

    arrive() {
      if (this.closed) return
      if (!world.isUp) return this.leave()

      world.connected.add(this)
      this.open()
    }

    leave() {
      world.connected.delete(this)
      if (world.failure === CONNECTING) setTimeout(() => this.arrive(), BROWSER_RETRY_MS)
      this.fail(world.failure)
    }
  }
}

/** Random numbers that are the same in each run (mulberry32). */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

function dropSockets(t, ...backOffsMs) {
  for (const backOffMs of backOffsMs) {
    Socket.last.drop()
    t.mock.timers.tick(backOffMs)
  }
}

async function comeBackOverEvents(t, feed) {
  await watchOverSocket(feed, "anna")
  dropSockets(t, 100, 250, 500)
  Events.last.fail()
  t.mock.timers.tick(1000)
  dropSockets(t, 2000)
  Events.last.open()
  assert.equal("sse", feed.transport)
}

test("events that opened only because of an outage give way to a socket", async (t) => {
  const feed = feedOn(t)
  await comeBackOverEvents(t, feed)

  const before = Socket.opened.length
  t.mock.timers.tick(2499)
  assert.equal(before, Socket.opened.length)
  t.mock.timers.tick(1)
  Socket.last.hear({ accept: true })
  assert.equal("websocket", feed.transport)
  assert.equal(true, Events.last.closed)
})

test("a page that has had a socket returns to one, after half a second at the soonest", async (t) => {
  const feed = feedOn(t, { random: () => 0 })
  await watchOverSocket(feed, "anna")
  dropSockets(t, 1, 1, 1)
  Events.last.open()
  assert.equal("sse", feed.transport)

  t.mock.timers.tick(499)
  assert.equal(3, Socket.opened.length)
  t.mock.timers.tick(1)
  assert.equal(4, Socket.opened.length)
})

test("a page in the back-forward cache does not return to a socket", async (t) => {
  const feed = feedOn(t)
  await comeBackOverEvents(t, feed)
  const before = Socket.opened.length
  page.dispatchEvent(new Event("pagehide"))
  t.mock.timers.tick(60_000)

  assert.equal(before, Socket.opened.length)
})

test("events in the place of sockets that have never worked stay", async (t) => {
  const feed = feedOn(t)
  await watchOverEvents(t, feed, "anna")
  for (let beats = 0; beats < 60; beats += 1) {
    t.mock.timers.tick(20_000)
    Events.last.dispatchEvent(new Event("heartbeat"))
  }

  assert.equal(2, Socket.opened.length)
  assert.equal("sse", feed.transport)
})

for (const [way, failure] of Object.entries({ "nothing answers": CONNECTING, "a proxy answers": CLOSED })) {
  test(`after an outage of 25 seconds in which ${way} all of twelve pages are on sockets again`, async (t) => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const world = new World(t)
      world.failure = failure
      const feeds = Array.from({ length: 12 }, (_, index) => world.feed(randomFrom(seed * 100 + index)))
      await world.pass(1000)
      await world.outage(25_000)
      await world.pass(15_000)

      assert.deepEqual(
        feeds.map((feed) => feed.transport),
        Array(12).fill("websocket"),
      )
      t.mock.timers.reset()
    }
  })

  test(`an outage in which ${way} ends with a page on events again if its sockets are blocked`, async (t) => {
    const world = new World(t)
    world.passesSockets = false
    world.failure = failure
    const feed = world.feed(randomFrom(1))
    await world.pass(1000)
    await world.outage(5_000)
    await world.pass(15_000)
    assert.equal("sse", feed.transport)

    const before = world.sockets
    await world.pass(20_000)
    assert.equal(before, world.sockets)
    assert.equal("sse", feed.transport)
  })
}

test("sockets that worked once and are blocked now for good are given up after two returns", async (t) => {
  const world = new World(t)
  const storage = new FakeStorage()
  const feed = world.feed(randomFrom(1), storage)
  await world.pass(1000)
  assert.equal("websocket", feed.transport)

  world.passesSockets = false
  world.cutAll()
  await world.pass(20_000)
  assert.equal(1 + 2 + 2, world.sockets)
  assert.equal("sse", feed.transport)
  assert.notEqual(null, storage.getItem("progrock.sse-until"))

  await world.pass(20_000)
  assert.equal(1 + 2 + 2, world.sockets)
})

test("sockets that get through again before they are given up are taken", async (t) => {
  const world = new World(t)
  const feed = world.feed(randomFrom(1))
  await world.pass(1000)
  world.passesSockets = false
  world.cutAll()
  await world.pass(1000)
  world.passesSockets = true
  await world.pass(15_000)

  assert.equal("websocket", feed.transport)
})

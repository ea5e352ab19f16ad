// Sockets, event sources and a storage without a browser or a server, for tests on a mock clock.

import { beforeEach } from "node:test"

import { Feed } from "../../static/feed.js"

export class FakeSource extends EventTarget {
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

export class Socket extends FakeSource {
  static opened = []
}

export class Events extends FakeSource {
  static opened = []
}

export class FakeStorage extends Map {
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

export const settled = () => new Promise((resolve) => setImmediate(resolve))

export let page, requests
let answers

beforeEach(() => {
  Socket.opened.length = 0
  Events.opened.length = 0
  page = Object.assign(new EventTarget(), { document: { hidden: false } })
  requests = []
  answers = []
})

export function answerWith(...list) {
  answers = list
}

export function feedOn(t, surroundings = {}) {
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

export const snapshot = (job, revision, more = {}) => ({ job, revision, status: "running", finished: false, ...more })
export const ended = (job, revision) => snapshot(job, revision, { status: "succeeded", finished: true })

export async function watchOverSocket(feed, ...jobs) {
  for (const job of jobs) feed.watch(job)
  await settled()
  Socket.last.hear({ accept: true })
}

export async function watchOverEvents(t, feed, ...jobs) {
  for (const job of jobs) feed.watch(job)
  await settled()
  Socket.last.drop()
  t.mock.timers.tick(100)
  Socket.last.drop()
  t.mock.timers.tick(250)
  Events.last.open()
}

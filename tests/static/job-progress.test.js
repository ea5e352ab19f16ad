// The element's modules without a browser: importing them does nothing, and a server has one feed.

import assert from "node:assert/strict"
import { test } from "node:test"

import { feedOf } from "../../static/feeds.js"

test("importing the element defines it, and looks at nothing of the page", async (t) => {
  const defined = []
  const untouchable = (name) => ({ configurable: true, get: () => assert.fail(`${name} was looked at.`) })
  for (const name of ["document", "location", "sessionStorage", "WebSocket", "EventSource", "fetch"]) {
    const before = Object.getOwnPropertyDescriptor(globalThis, name)
    Object.defineProperty(globalThis, name, untouchable(name))
    t.after(() => (before ? Object.defineProperty(globalThis, name, before) : delete globalThis[name]))
  }
  globalThis.HTMLElement = class {}
  globalThis.customElements = { define: (name, element) => defined.push([name, element]) }

  const { JobProgress } = await import("../../static/job-progress.js")

  assert.deepEqual(defined, [["job-progress", JobProgress]])
})

test("a server has one feed", () => {
  const feed = feedOf("https://prog.example/")

  assert.equal(feedOf("https://prog.example/"), feed)
  assert.notEqual(feedOf("https://other.example/"), feed)
})

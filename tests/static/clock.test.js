// The server's clock, told from the times in its news.

import assert from "node:assert/strict"
import { test } from "node:test"

import { ServerClock } from "../../static/clock.js"

const at = (time) => Date.parse(`2026-01-01T${time}Z`)

function clockAt(t, time) {
  t.mock.timers.enable({ apis: ["Date"], now: at(time) })
  return new ServerClock()
}

test("before any news it is this computer's clock", (t) => {
  assert.equal(clockAt(t, "12:00:00").now(), at("12:00:00"))
})

test("the fastest news tells how far this computer's clock is ahead", (t) => {
  const clock = clockAt(t, "12:00:00")
  clock.heard("2026-01-01T11:00:00Z", at("11:59:58"))
  clock.heard("2026-01-01T11:00:05Z", at("12:00:00"))
  clock.heard("2026-01-01T11:00:05Z", at("12:00:09"))

  assert.equal(clock.now(), at("11:00:05"))
})

test("a computer whose clock is behind is told so too", (t) => {
  const clock = clockAt(t, "12:00:00")
  clock.heard("2026-01-01T12:30:00Z")

  assert.equal(clock.now(), at("12:30:00"))
})

test("news without a time tells nothing", (t) => {
  const clock = clockAt(t, "12:00:00")
  for (const nothing of [null, undefined, "", "soon"]) clock.heard(nothing)

  assert.equal(clock.now(), at("12:00:00"))
})

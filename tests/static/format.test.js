// A job as people read it: the server's templates are tested with the same table of cases.

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import {
  amount,
  buttons,
  elapsed,
  headline,
  parameters,
  percent,
  resultView,
  silence,
  statusText,
  stepState,
  stepsDone,
} from "../../static/format.js"

const { now, base, cases } = JSON.parse(readFileSync(new URL("display_cases.json", import.meta.url), "utf8"))

function shown(job, nowMs) {
  const { stopping, ...offered } = buttons(job)
  return {
    status: statusText(job),
    message: job.message ?? "",
    error: job.error?.message ?? "",
    amount: amount(job),
    percent: percent(job.progress),
    bar: job.progress === null ? null : String(job.progress),
    headline: headline(job),
    elapsed: elapsed(
      { ...job, createdAt: job.created_at, startedAt: job.started_at, finishedAt: job.finished_at },
      nowMs,
    ),
    silence: silence({ ...job, observedAt: job.observed_at }, nowMs),
    steps: (job.steps ?? []).map((step) => `${step.title} ${stepState(step)}`),
    "steps-done": stepsDone(job.steps),
    params: parameters(job.params),
    buttons: Object.keys(offered).filter((action) => offered[action]),
    stopping,
    result: resultView(job.result),
    snapshot: JSON.stringify(job, null, 2).split("\n"),
  }
}

for (const { name, job, shows } of cases) {
  test(`the page shows ${name}`, () => {
    const all = shown({ ...base, ...job }, Date.parse(now))
    const asked = Object.fromEntries(Object.keys(shows).map((key) => [key, all[key]]))

    assert.deepEqual(asked, shows)
  })
}

test("between a stop and its answer a job is stopping", () => {
  const offered = buttons({ status: "running", finished: false, can: ["cancel", "pause"], cancelling: true })

  assert.deepEqual(offered, { cancel: true, pause: false, resume: false, stopping: true })
})

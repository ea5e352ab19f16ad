// How a job is written for people: pure functions, no DOM. The server's templates follow the same table of cases.

/** @import { Job, ResultView, Status, Step } from "./types.js" */

// Made once: a formatter costs more than all that it formats in a second.
const NUMBER = new Intl.NumberFormat("en")
const TENTHS = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })

export const MAX_STEPS = 50
const BYTES = ["B", "kB", "MB", "GB", "TB", "PB"]
const WRITTEN_AS_1000 = 999.95 // with one decimal

/**
 * How much is done: `7 / 9 rows`, `19.2 MB of 4.3 GB`; nothing if unknown.
 * @param {Pick<Job, "done" | "total" | "unit">} job
 */
export function amount({ done, total, unit }) {
  if (done === null) return ""
  if (unit === "bytes") return total === null ? bytes(done) : `${bytes(done)} of ${bytes(total)}`
  return [NUMBER.format(done), ...(total === null ? [] : ["/", NUMBER.format(total)]), unit ?? ""].join(" ").trim()
}

/**
 * `512 B`, `19.2 MB`: in thousands, with one decimal at most.
 * @param {number} size
 */
function bytes(size) {
  let unit = 0
  while (Math.abs(size) >= WRITTEN_AS_1000 && unit < BYTES.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${TENTHS.format(size)} ${BYTES[unit]}`
}

/** @param {number | null} progress */
export function percent(progress) {
  return progress === null ? "" : `${progress}%`
}

/**
 * A job in the shortest form, for a title.
 * @param {Pick<Job, "status" | "progress" | "queue_place">} job
 */
export function headline(job) {
  const { status, progress } = job
  return status === "running" && progress !== null ? `${Math.floor(progress)}%` : statusText(job)
}

/**
 * A job's status, with its place if it waits in a queue.
 * @param {Pick<Job, "status" | "queue_place">} job
 */
export function statusText({ status, queue_place }) {
  return status === "queued" && queue_place ? `${status}, place ${queue_place}` : status
}

/**
 * How long a job has taken, and what that counts: `running for 12:34`.
 * @param {{status: Status, adopted?: boolean, createdAt: string, startedAt: string | null, finishedAt: string | null}} job
 * @param {number} now
 */
export function elapsed(job, now) {
  const isQueued = !job.adopted && (job.status === "queued" || !job.startedAt)
  const start = isQueued ? job.createdAt : job.startedAt || job.createdAt
  const time = clock((job.finishedAt ? Date.parse(job.finishedAt) : now) - Date.parse(start))
  if (job.adopted) return `watched for ${time}`
  if (isQueued) return `queued for ${time}`
  if (job.finishedAt) return `took ${time}`
  return job.status === "paused" ? `started ${time} ago` : `running for ${time}`
}

/**
 * `0:07`, `12:34`, `1:02:03`.
 * @param {number} ms
 */
function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  if (parts[0] === 0) parts.shift()
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":")
}

/**
 * For how long a backend that cannot be reached has not been heard.
 * @param {{reachable: boolean, finished: boolean, observedAt: string | null}} job
 * @param {number} now
 */
export function silence({ reachable, finished, observedAt }, now) {
  if (reachable || finished) return ""
  if (!observedAt) return "not heard from yet"
  return `not heard from for ${Math.max(1, Math.floor((now - Date.parse(observedAt)) / 1000))} s`
}

/**
 * How many of a job's steps are done; nothing if it has none.
 * @param {Step[] | null | undefined} steps
 */
export function stepsDone(steps) {
  const shown = (steps ?? []).slice(0, MAX_STEPS)
  const done = shown.filter(({ status }) => status === "succeeded").length
  return shown.length ? `${done} of ${shown.length} steps done` : ""
}

/**
 * How a step is, in words: `running, 40%`.
 * @param {Pick<Step, "status" | "progress">} step
 */
export function stepState({ status, progress }) {
  const isTold = progress !== null && status !== "succeeded"
  return [status, isTold ? percent(progress) : ""].filter(Boolean).join(", ") || "not known"
}

/** @param {Record<string, unknown>} params */
export function parameters(params) {
  return Object.entries(params)
    .map(([name, value]) => `${name} ${text(value)}`)
    .join(" · ")
}

/**
 * The buttons that a job has. Between a stop and its answer the page knows more than the job.
 * @param {{status: Status, finished: boolean, can: string[], cancelling?: boolean}} job
 */
export function buttons({ status, finished, can, cancelling = false }) {
  const stopping = status === "stopping" || cancelling
  return {
    cancel: !finished && (can.includes("cancel") || stopping),
    pause: can.includes("pause") && ["queued", "running"].includes(status) && !stopping,
    resume: can.includes("resume") && status === "paused" && !stopping,
    stopping,
  }
}

/**
 * The form of a result: a picture or a file if it has an address, otherwise its values.
 * @param {Job["result"]} result
 * @returns {ResultView | null}
 */
export function resultView(result) {
  if (result === null || Object.keys(result).length === 0) return null

  const href = address(result.url)
  const type = typeof result.content_type === "string" ? result.content_type : ""
  if (href?.startsWith("/") && type.startsWith("image/")) return { kind: "picture", href }
  if (href) return { kind: "download", href, label: `Download the result${type && ` (${type})`}` }
  return { kind: "values", rows: Object.entries(result).map(([name, value]) => [name, text(value)]) }
}

// A result comes from somebody else's service: only a web address becomes a link. A browser reads a backslash as a
// slash and leaves out a line break, so that either can turn a path into another server's address.
/** @param {unknown} url */
function address(url) {
  return typeof url === "string" && /^(\/(?!\/)|https?:\/\/)[^\\\x00-\x1f]*$/.test(url) ? url : null
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

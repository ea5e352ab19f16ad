// <job-progress job="…">: keeps the card inside it up to date. The markup is the server's; only its values change here.

import { Feed } from "./feed.js"

/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").Refusal} Refusal */

const TICK_MS = 1000
const HIDDEN_FRAME_MS = 1000 // a hidden page gets no animation frames, but its title is still read
const TRANSPORTS = { websocket: "WebSocket", sse: "Server-Sent Events", reconnecting: "reconnecting…", idle: "" }

export const feed = new Feed()

/** @type {Map<string, Job>} the newest snapshots that are not on the page yet */
const unseen = new Map()

/** @type {number} how far this computer's clock is ahead of the server's, in ms; at most the delay of the fastest news */
let clockAheadMs = Date.now() - Date.parse(document.querySelector("meta[name=now]")?.getAttribute("content") ?? "")

class JobProgress extends HTMLElement {
  #revision = 0
  #cancelling = false
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking

  connectedCallback() {
    this.#revision ||= Number(this.dataset.revision)
    this.addEventListener("submit", this)
    this.addEventListener("click", this)
    this.showTransport()
    if (this.finished) return

    this.#ticking ??= setInterval(() => this.#tick(), TICK_MS)
    feed.watch(this.job, this.#revision)
  }

  disconnectedCallback() {
    this.#stopTicking()
    feed.unwatch(this.job)
  }

  get job() {
    return this.getAttribute("job") ?? ""
  }

  get finished() {
    return this.dataset.finished === "true"
  }

  /** @param {Event} event */
  handleEvent(event) {
    const target = /** @type {HTMLElement} */ (event.target)
    const action = target.closest("[data-action]")?.getAttribute("data-action")
    if (event.type === "submit" && action === "cancel") {
      event.preventDefault()
      this.#cancel()
    }
    if (event.type === "click" && action === "pause") feed.pause(this.job)
    if (event.type === "click" && action === "resume") feed.resume(this.job)
  }

  /** @param {Job} job */
  show(job) {
    const isTheEnd = job.finished && this.dataset.finished !== "true"
    if (job.revision <= this.#revision && !isTheEnd) return

    this.#revision = job.revision
    this.setAttribute("job", job.job)
    Object.assign(this.dataset, {
      status: job.status,
      finished: job.finished,
      reachable: job.reachable,
      revision: job.revision,
      can: job.can.join(" "),
      since: job.started_at ?? job.created_at,
      until: job.finished_at ?? "",
      observedAt: job.observed_at ?? "",
    })
    if (job.finished) this.#stopTicking()
    if (!job.can.includes("cancel") || job.finished || job.status === "stopping") this.#cancelling = false

    this.#showProgress(job.progress)
    this.#put("status", job.status)
    this.#put("message", job.message ?? "")
    this.#put("amount", amount(job))
    this.#put("error", job.error?.message ?? "")
    this.#put("refusal", "")
    this.#showActions()
    this.#showSnapshot(job)
    if (job.result && this.#field("result")?.childElementCount === 0) this.#showResult(job.result)
    this.showTransport()
    this.#tick()
    if (this.hasAttribute("title-shows-progress")) this.#showTitle(job)
  }

  /** What never changes in a job, for a card that was cloned from the template. @param {Job} job */
  fill(job) {
    const title = document.querySelector(`[data-backend="${CSS.escape(job.backend)}"]`)?.getAttribute("data-title")
    for (const name of this.querySelectorAll("[data-field=backend]")) name.textContent = title ?? job.backend
    this.#put("params", Object.entries(job.params).map(([name, value]) => `${name} ${text(value)}`).join(" · "))
    this.querySelector("[data-field=backend]")?.setAttribute("href", `/jobs/${job.job}`)
    this.querySelector("[data-action=cancel]")?.setAttribute("action", `/jobs/${job.job}/cancel`)
    this.setAttribute("job", job.job)
    this.show(job)
  }

  /** @param {Refusal} refusal */
  showRefusal(refusal) {
    this.#cancelling = false
    this.#put("refusal", refusal.error.message)
    this.#showActions()
  }

  showTransport() {
    this.#put("transport", this.finished ? "" : TRANSPORTS[feed.transport])
  }

  #cancel() {
    this.#cancelling = true
    this.#put("refusal", "")
    this.#showActions()
    feed.cancel(this.job)
  }

  #tick() {
    const { since, until, observedAt } = this.dataset
    const now = Date.now() - (Number.isNaN(clockAheadMs) ? 0 : clockAheadMs)
    if (since) this.#put("elapsed", clock((until ? Date.parse(until) : now) - Date.parse(since)))
    this.#put("silence", this.dataset.reachable === "false" && !this.finished ? silence(now, observedAt) : "")
  }

  #stopTicking() {
    clearInterval(this.#ticking)
    this.#ticking = undefined
  }

  /** @param {number | null} progress */
  #showProgress(progress) {
    const bar = this.querySelector("progress")
    if (progress === null) bar?.removeAttribute("value")
    else bar?.setAttribute("value", String(progress))
    this.#put("percent", progress === null ? "" : `${progress}%`)
  }

  #showActions() {
    const { status = "", can = "" } = this.dataset
    const allowed = can.split(" ")
    const stopping = status === "stopping" || this.#cancelling
    this.#reveal("[data-action=cancel]", !this.finished && (allowed.includes("cancel") || stopping))
    this.#reveal("[data-action=pause]", allowed.includes("pause") && ["queued", "running"].includes(status) && !stopping)
    this.#reveal("[data-action=resume]", allowed.includes("resume") && status === "paused" && !stopping)

    const stop = /** @type {HTMLButtonElement | null} */ (this.querySelector("[data-action=cancel] button"))
    if (stop === null) return
    stop.disabled = stopping
    stop.textContent = stopping ? "Stopping…" : "Stop"
  }

  /** @param {Record<string, unknown>} result */
  #showResult(result) {
    this.#field("result")?.replaceChildren(picture(result) ?? download(result) ?? details(result))
  }

  /** @param {Job} job */
  #showSnapshot(job) {
    this.#put("snapshot", JSON.stringify(job, null, 2))
  }

  /** @param {Job} job */
  #showTitle({ status, progress }) {
    const news = status === "running" && progress !== null ? `${Math.floor(progress)}%` : status
    document.title = `${news} · ${this.#field("backend")?.textContent} · ProgRock`
  }

  /** @param {string} name */
  #field(name) {
    return this.querySelector(`[data-field=${name}]`)
  }

  // Untouched when it stays the same, so that a screen reader hears changes only.
  /**
   * @param {string} name
   * @param {string} value
   */
  #put(name, value) {
    const field = this.#field(name)
    if (field && field.textContent !== value) field.textContent = value
  }

  /**
   * @param {string} selector
   * @param {boolean} shown
   */
  #reveal(selector, shown) {
    this.querySelector(selector)?.toggleAttribute("hidden", !shown)
  }
}

/** @param {Job} job */
function amount({ done, total, unit }) {
  if (done === null) return ""
  return [number(done), ...(total === null ? [] : ["/", number(total)]), unit ?? ""].join(" ").trim()
}

/** @param {number} value */
function number(value) {
  return value.toLocaleString("en")
}

/** @param {number} elapsedMs */
function clock(elapsedMs) {
  const seconds = Math.max(0, Math.floor(elapsedMs / 1000))
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  if (parts[0] === 0) parts.shift()
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":")
}

/**
 * @param {number} now
 * @param {string | undefined} observedAt
 */
function silence(now, observedAt) {
  if (!observedAt) return "not heard from yet"
  return `not heard from for ${Math.max(1, Math.floor((now - Date.parse(observedAt)) / 1000))} s`
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "object" ? JSON.stringify(value) : String(value)
}

/** @param {Record<string, unknown>} result */
function picture({ url, content_type }) {
  if (!address(url)?.startsWith("/") || !String(content_type).startsWith("image/")) return null

  const link = element("a", { href: address(url) })
  link.append(element("img", { src: address(url), alt: "What this job made", loading: "lazy" }))
  return link
}

/** @param {Record<string, unknown>} result */
function download({ url, content_type }) {
  if (address(url) === null) return null

  const link = element("a", { href: address(url), download: "", class: "download" })
  link.textContent = content_type ? `Download the result (${content_type})` : "Download the result"
  return link
}

/** @param {Record<string, unknown>} result */
function details(result) {
  const list = element("dl", {})
  for (const [name, value] of Object.entries(result)) {
    const term = element("dt", {})
    const definition = element("dd", {})
    term.textContent = name
    definition.textContent = text(value)
    list.append(term, definition)
  }
  return list
}

// A result comes from somebody else's service: nothing but a web address becomes a link.
/** @param {unknown} url */
function address(url) {
  return typeof url === "string" && /^(\/(?!\/)|https?:\/\/)/.test(url) ? url : null
}

/**
 * @param {string} name
 * @param {Record<string, string | null>} attributes
 */
function element(name, attributes) {
  const made = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value ?? "")
  return made
}

/** @returns {NodeListOf<JobProgress>} */
function cards() {
  return document.querySelectorAll("job-progress")
}

function render() {
  const news = new Map(unseen)
  unseen.clear() // first, so that a card that cannot be shown stops no others later
  for (const card of cards()) {
    const job = news.get(card.job)
    if (job) card.show(job)
  }
}

feed.addEventListener("job", (event) => {
  const job = /** @type {CustomEvent<Job>} */ (event).detail
  if (unseen.size === 0) document.hidden ? setTimeout(render, HIDDEN_FRAME_MS) : requestAnimationFrame(render)
  unseen.set(job.job, job)
  if (job.observed_at) {
    const sinceObservedMs = Date.now() - Date.parse(job.observed_at)
    clockAheadMs = Number.isNaN(clockAheadMs) ? sinceObservedMs : Math.min(clockAheadMs, sinceObservedMs)
  }
})

// An animation frame that was asked for just before the page was hidden comes when it is shown again.
document.addEventListener("visibilitychange", render)

feed.addEventListener("refused", (event) => {
  const refusal = /** @type {CustomEvent<Refusal>} */ (event).detail
  for (const card of cards()) if (card.job === refusal.job) card.showRefusal(refusal)
})

feed.addEventListener("transport", () => {
  for (const card of cards()) card.showTransport()
})

customElements.define("job-progress", JobProgress)

export { JobProgress }

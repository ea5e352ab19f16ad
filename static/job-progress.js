// <job-progress>: one job as a card. The server has rendered its markup complete; only its values change here.

import { cardsOf } from "./cards.js"
import { feedOf } from "./feeds.js"
import { amount, buttons, elapsed, headline, percent, resultView, silence, statusText } from "./format.js"
import { resultElement } from "./result.js"
import { showSteps } from "./steps.js"

/** @import { Cards } from "./cards.js" */
/** @import { Feed } from "./feed.js" */
/** @import { Job, Refusal, Status } from "./types.js" */

const HOME = new URL("..", import.meta.url).href // the server that this module comes from
const TICK_MS = 1000
const TRANSPORTS = { websocket: "WebSocket", sse: "Server-Sent Events", reconnecting: "reconnecting…", idle: "" }

export class JobProgress extends HTMLElement {
  #revision = 0
  #cancelling = false
  /** @type {Job | null} none until there is news of it: the server's markup is right */
  #newest = null
  /** @type {Feed | null} */
  #feed = null
  /** @type {Cards | null} none unless there is news to come */
  #cards = null
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #ticking

  connectedCallback() {
    this.#revision ||= Number(this.dataset.revision)
    this.addEventListener("submit", this)
    this.addEventListener("click", this)
    this.addEventListener("toggle", this, { capture: true }) // it does not bubble
    this.#join()
  }

  disconnectedCallback() {
    this.#leave()
  }

  get job() {
    return this.getAttribute("job") ?? ""
  }

  get finished() {
    return this.dataset.finished === "true"
  }

  /** The feed that brings its news: its server's, unless another one is given. */
  get feed() {
    this.#feed ??= feedOf(new URL(this.getAttribute("server") ?? HOME, document.baseURI).href)
    return this.#feed
  }

  set feed(feed) {
    this.#leave()
    this.#feed = feed
    if (this.isConnected) this.#join()
  }

  /** @param {Event} event */
  handleEvent(event) {
    const target = /** @type {HTMLElement} */ (event.target)
    const action = target.closest("[data-action]")?.getAttribute("data-action")
    if (event.type === "submit" && action) {
      event.preventDefault()
      if (action === "cancel") this.#cancel()
      if (action === "pause") this.feed.pause(this.job)
      if (action === "resume") this.feed.resume(this.job)
    }
    if (event.type === "toggle" || target.closest("summary")) this.#showSnapshot()
  }

  /** @param {Job} job */
  show(job) {
    const isTheEnd = job.finished && !this.finished
    if (job.revision <= this.#revision && !isTheEnd) return

    this.#revision = job.revision
    this.#newest = job
    this.#keep(job)
    if (job.finished) this.#leave()
    if (!job.can.includes("cancel") || job.finished || job.status === "stopping") this.#cancelling = false
    this.#showProgress(job.progress)
    this.#showTexts(job)
    showSteps(this.querySelector("details.steps"), job.steps)
    this.#showButtons()
    this.#showResult(job)
    if (this.#field("snapshot")?.closest("details")?.open !== false) this.#showSnapshot()
    this.showTransport()
    this.#tick()
    if (this.hasAttribute("title-shows-progress")) this.#showTitle(job)
  }

  /** @param {Refusal} refusal */
  showRefusal(refusal) {
    this.#cancelling = false
    this.#put("refusal", refusal.error.message)
    this.#showButtons()
  }

  showTransport() {
    this.#put("transport", this.#cards ? TRANSPORTS[this.#cards.transport] : "")
  }

  #join() {
    if (this.job && !this.finished) {
      this.#cards = cardsOf(this.feed)
      this.#cards.add(this, this.#revision)
      this.#ticking = setInterval(() => this.#tick(), TICK_MS)
      this.#tick()
    }
    this.showTransport()
  }

  #leave() {
    this.#cards?.remove(this)
    this.#cards = null
    clearInterval(this.#ticking)
  }

  // In the markup, as the server's card has it, for the style sheet and for the clock.
  /** @param {Job} job */
  #keep(job) {
    Object.assign(this.dataset, {
      status: job.status,
      finished: job.finished,
      reachable: job.reachable,
      revision: job.revision,
      can: job.can.join(" "),
      adopted: job.adopted ?? false,
      createdAt: job.created_at,
      startedAt: job.started_at ?? "",
      finishedAt: job.finished_at ?? "",
      observedAt: job.observed_at ?? "",
    })
  }

  #cancel() {
    this.#cancelling = true
    this.#put("refusal", "")
    this.#showButtons()
    this.feed.cancel(this.job)
  }

  #tick() {
    const { createdAt, startedAt = "", finishedAt = "", observedAt = "", reachable } = this.dataset
    const now = this.#cards?.clock.now() ?? Date.now()
    const status = /** @type {Status} */ (this.dataset.status)
    const adopted = this.dataset.adopted === "true"
    if (createdAt) this.#put("elapsed", elapsed({ status, adopted, createdAt, startedAt, finishedAt }, now))
    this.#put("silence", silence({ reachable: reachable !== "false", finished: this.finished, observedAt }, now))
  }

  /** @param {number | null} progress */
  #showProgress(progress) {
    const bar = this.querySelector("progress")
    if (progress === null) bar?.removeAttribute("value")
    else bar?.setAttribute("value", String(progress))
    this.#put("percent", percent(progress))
  }

  /** @param {Job} job */
  #showTexts(job) {
    this.#put("status", statusText(job))
    this.#put("message", job.message ?? "")
    this.#put("amount", amount(job))
    this.#put("error", job.error?.message ?? "")
    this.#put("refusal", "")
  }

  #showButtons() {
    const status = /** @type {Status} */ (this.dataset.status)
    const can = this.dataset.can?.split(" ") ?? []
    const shown = buttons({ status, finished: this.finished, can, cancelling: this.#cancelling })
    for (const action of /** @type {const} */ (["cancel", "pause", "resume"])) {
      this.querySelector(`[data-action=${action}]`)?.toggleAttribute("hidden", !shown[action])
    }

    const stop = /** @type {HTMLButtonElement | null} */ (this.querySelector("[data-action=cancel] button"))
    if (stop === null) return
    stop.disabled = shown.stopping
    stop.textContent = shown.stopping ? "Stopping…" : "Stop"
  }

  /** @param {Job} job */
  #showResult({ result }) {
    const field = this.#field("result")
    if (field === null || field.childElementCount > 0) return

    const view = resultView(result)
    if (view) field.append(resultElement(view))
  }

  #showSnapshot() {
    if (this.#newest && this.#field("snapshot")) this.#put("snapshot", JSON.stringify(this.#newest, null, 2))
  }

  /** @param {Job} job */
  #showTitle(job) {
    document.title = `${headline(job)} · ${this.#field("backend")?.textContent} · ProgRock`
  }

  /** @param {string} name */
  #field(name) {
    return this.querySelector(`[data-field=${name}]`)
  }

  // Untouched when it stays the same, so that a screen reader hears changes only.
  /**
   * @param {string} name
   * @param {string} text
   */
  #put(name, text) {
    const field = this.#field(name)
    if (field && field.textContent !== text) field.textContent = text
  }
}

customElements.define("job-progress", JobProgress)

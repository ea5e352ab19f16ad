// The feed of all watched jobs: which are watched, the newest revision of each, and the requests for them. No DOM.

import { Api } from "./api.js"
import { sessionStorageIfAllowed } from "./fallback.js"
import { Stream } from "./stream.js"

/** @import { Connection } from "./connection.js" */
/** @import { Action, Job, Notice, Refusal, Surroundings } from "./types.js" */

const RETRY_WATCH_MS = 5_000

/**
 * Events: `job` (detail: Job), `transport` (detail: Transport), `refused` (detail: Refusal).
 */
export class Feed extends EventTarget {
  #api
  #stream
  /** @type {Map<string, number>} the newest revision seen of each job, over every transport */
  #revisions = new Map()
  /** @type {Set<string>} */
  #watched = new Set()
  /** @type {Set<string>} told to stop, and not yet seen to */
  #cancelling = new Set()
  #isSettling = false

  /** @param {Surroundings} surroundings */
  constructor({
    base = globalThis.location?.href,
    WebSocket = globalThis.WebSocket,
    EventSource = globalThis.EventSource,
    fetch,
    storage = sessionStorageIfAllowed(),
    random = Math.random,
    page = globalThis,
  } = {}) {
    super()
    this.#api = new Api({ base, fetch })
    this.#stream = new Stream(
      { base, WebSocket, EventSource, storage, random, page },
      {
        wanted: () => new Map([...this.#watched].map((job) => [job, this.#revision(job)])),
        changed: (transport) => this.#dispatch("transport", transport),
        opened: () => this.#cancelling.forEach((job) => this.cancel(job)),
        received: (frame, connection) => this.#received(frame, connection),
        missed: (job) => (job ? [job] : [...this.#watched]).forEach((job) => this.#lookUp(job)),
      },
    )
  }

  get transport() {
    return this.#stream.transport
  }

  /**
   * @param {string} job
   * @param {number} [revision] that the page shows already
   */
  watch(job, revision = 0) {
    this.#revisions.set(job, Math.max(revision, this.#revision(job)))
    this.#watched.add(job)
    this.#settle()
  }

  /** @param {string} job */
  unwatch(job) {
    this.#watched.delete(job)
    this.#settle()
  }

  /** @param {string} job */
  cancel(job) {
    this.#cancelling.add(job)
    return this.#act("cancel", job)
  }

  /** @param {string} job */
  pause(job) {
    return this.#act("pause", job)
  }

  /** @param {string} job */
  resume(job) {
    return this.#act("resume", job)
  }

  // One microtask later, so that a page of twenty cards opens one stream for all of them.
  #settle() {
    if (this.#isSettling) return

    this.#isSettling = true
    queueMicrotask(() => {
      this.#isSettling = false
      this.#stream.adjust()
    })
  }

  /**
   * @param {Job | Notice} frame
   * @param {Connection} connection
   */
  #received(frame, connection) {
    if ("revision" in frame) this.#take(frame)
    else if (frame.error) this.#refused({ ...frame, error: frame.error }, connection)
  }

  /** @param {Job} job */
  #take(job) {
    // An end counts whatever its revision: a Redis that lost its last writes counts anew.
    const isTheEnd = job.finished && this.#watched.delete(job.job)
    if (job.finished) {
      this.#stream.forget(job.job)
      this.#settle()
    }
    if (job.finished || job.status === "stopping") this.#cancelling.delete(job.job)
    if (job.revision <= this.#revision(job.job) && !isTheEnd) return

    this.#revisions.set(job.job, job.revision)
    this.#dispatch("job", job)
  }

  /**
   * @param {Refusal} refusal
   * @param {Connection} [connection]
   */
  #refused(refusal, connection) {
    if (refusal.action === "cancel" && refusal.job) this.#cancelling.delete(refusal.job)
    this.#dispatch("refused", refusal)
    if (connection && refusal.action === "watch" && refusal.job) this.#askAgainLater(refusal.job, connection)
  }

  /**
   * @param {string} job
   * @param {Connection} connection
   */
  async #askAgainLater(job, connection) {
    await this.#lookUp(job)
    setTimeout(() => {
      connection.asked.delete(job)
      this.#settle()
    }, RETRY_WATCH_MS)
  }

  /**
   * @param {Action} action
   * @param {string} job
   */
  async #act(action, job) {
    if (this.#stream.send({ action, job })) return

    const answer = await this.#api.act(action, job)
    if (answer.ok) this.#take(answer.body)
    else this.#refused({ job, action, error: answer.error })
  }

  /** @param {string} job */
  async #lookUp(job) {
    const answer = await this.#api.get(job)
    if (answer.ok) this.#take(answer.body)
    else if (answer.status === 404) {
      this.unwatch(job)
      this.#refused({ job, action: "watch", error: answer.error })
    }
  }

  /**
   * @param {string} name
   * @param {unknown} detail
   */
  #dispatch(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }

  /** @param {string} job */
  #revision(job) {
    return this.#revisions.get(job) ?? 0
  }
}

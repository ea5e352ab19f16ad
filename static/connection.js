// One connection to the server: it opens, is heard, falls silent, and closes.

/** @import { Kind, Owner } from "./types.js" */

const OPEN_TIMEOUT_MS = 10_000
const SILENCE_MS = 45_000 // two heartbeats of 20 s missed
const STALE_MS = 25_000 // one heartbeat missed
const STEADY_MS = 1_000

export class Connection {
  /** @type {Set<string>} the jobs that the server was asked for */
  asked = new Set()
  /** @type {number | undefined} the server's own wish */
  reconnectInMs

  #source
  #owner
  /** @type {"opening" | "open" | "retrying" | "closed"} */
  #state = "opening"
  #openedAt = 0
  #heardAt = Date.now()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience

  /**
   * @param {Kind} kind
   * @param {WebSocket | EventSource} source
   * @param {Owner} owner
   */
  constructor(kind, source, owner) {
    this.kind = kind
    this.#source = source
    this.#owner = owner
    this.#waitAtMost(OPEN_TIMEOUT_MS)
  }

  get isOpen() {
    return this.#state === "open"
  }

  get isOpening() {
    return this.#state === "opening"
  }

  get hasOpened() {
    return this.#openedAt > 0
  }

  get isSteady() {
    return this.hasOpened && Date.now() - this.#openedAt >= STEADY_MS
  }

  get isFresh() {
    return this.#state !== "retrying" && Date.now() - this.#heardAt < STALE_MS
  }

  close() {
    this.#state = "closed"
    clearTimeout(this.#patience)
    this.#source.close()
  }

  /**
   * Listen to the source until the connection is closed: it may still speak after that.
   * @param {string} type
   * @param {(event: any) => void} handle
   */
  on(type, handle) {
    this.#source.addEventListener(type, (event) => {
      if (this.#state !== "closed") handle(event)
    })
  }

  /** @param {string} data */
  receive(data) {
    this.heard()
    for (const frame of [JSON.parse(data)].flat()) this.#owner.received(this, frame)
  }

  heard() {
    this.#heardAt = Date.now()
    this.#waitAtMost(SILENCE_MS)
    if (this.#state === "open") return

    this.#state = "open"
    this.#openedAt = Date.now()
    this.#owner.opened(this)
  }

  retry() {
    this.#state = "retrying"
    this.#owner.retrying(this)
  }

  lose() {
    this.#owner.lost(this)
  }

  /** @param {string} [job] */
  miss(job) {
    this.#owner.missed(job)
  }

  /** @param {number} silenceMs */
  #waitAtMost(silenceMs) {
    clearTimeout(this.#patience)
    this.#patience = setTimeout(() => this.lose(), silenceMs)
  }
}

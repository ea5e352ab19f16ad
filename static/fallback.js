// Which transport is tried next, and when: sockets first, then Server-Sent Events, and back to sockets after an outage.

/** @import { Kind, Memory } from "./types.js" */

const BACK_OFF_MS = [100, 250, 500, 1000, 2000, 5000]
const SOCKET_TRIES = 2
const SOCKET_RETURN_MS = { least: 500, most: 2_500 }
const SOCKET_RETURNS = 2
const SSE_MEMORY_MS = 5 * 60_000 // then sockets get another chance
const SSE_MEMORY_KEY = "progrock.sse-until"

export class Fallback {
  #only
  #storage
  #random
  #attempt = 0
  #failedSockets = 0
  #failedEvents = 0
  #hasSocketWorked = false
  /** how often a socket was tried again in the place of open events, and failed */
  #returns = 0
  #isProvisional = false
  #sseUntil

  /** @param {{only: Kind | null, storage: Memory | null, random: () => number}} surroundings */
  constructor({ only, storage, random }) {
    this.#only = only
    this.#storage = storage
    this.#random = random
    this.#sseUntil = Number(storage?.getItem(SSE_MEMORY_KEY) ?? 0)
  }

  /** @returns {Kind} */
  get next() {
    if (this.#only) return this.#only
    return this.#sseUntil > Date.now() || this.#failedSockets >= SOCKET_TRIES ? "sse" : "websocket"
  }

  /** How long to wait before the next try; longer each time. */
  backOffMs() {
    const longest = BACK_OFF_MS[Math.min(this.#attempt, BACK_OFF_MS.length - 1)]
    this.#attempt += 1
    return this.#random() * longest
  }

  startAnew() {
    this.#attempt = 0
  }

  /** Failures while the network was gone say nothing about sockets. */
  networkReturned() {
    this.#attempt = 0
    this.#failedSockets = 0
    this.#returns = 0
  }

  /** True if Server-Sent Events are open and sockets have not been shown to be blocked. */
  get isProvisional() {
    return this.#isProvisional
  }

  /** Jittered, as all pages come back from an outage together; longer each time. */
  socketReturnMs() {
    const { least, most } = SOCKET_RETURN_MS
    return Math.min((least + this.#random() * (most - least)) * 2 ** this.#returns, SSE_MEMORY_MS)
  }

  /** Give a socket one try in the place of open events. */
  returnToSocket() {
    this.#returns += 1
    this.#attempt = 0
    this.#failedSockets = SOCKET_TRIES - 1
  }

  /** @param {Kind} kind */
  opened(kind) {
    if (kind === "websocket") this.#socketOpened()
    else this.#eventsOpened()
    this.#failedSockets = 0
    this.#failedEvents = 0
  }

  /** @param {Kind} kind */
  failed(kind) {
    if (kind === "websocket") this.#failedSockets += 1
    else this.#eventsFailed()
  }

  #socketOpened() {
    this.#hasSocketWorked = true
    this.#returns = 0
    this.#isProvisional = false
  }

  // After an outage it is chance which transport gets through first. If events open at once and sockets still fail, the
  // sockets are blocked; but if one has worked on this page, that must happen again after each return.
  #eventsOpened() {
    const haveSocketsFailed = this.#only === null && this.#failedSockets >= SOCKET_TRIES
    const isBelieved = this.#failedEvents === 0 && (!this.#hasSocketWorked || this.#returns >= SOCKET_RETURNS)
    this.#isProvisional = haveSocketsFailed && !isBelieved
    if (haveSocketsFailed && isBelieved) this.#remember()
  }

  // Nothing gets through: that is the network or a restart, not a proxy that dislikes sockets. They take turns.
  #eventsFailed() {
    this.#failedEvents += 1
    this.#failedSockets = SOCKET_TRIES - 1
    this.#forget()
  }

  #remember() {
    this.#hasSocketWorked = false
    this.#sseUntil = Date.now() + SSE_MEMORY_MS
    this.#storage?.setItem(SSE_MEMORY_KEY, String(this.#sseUntil))
  }

  #forget() {
    this.#sseUntil = 0
    this.#storage?.removeItem(SSE_MEMORY_KEY)
  }
}

// Merely naming it throws if the visitor has blocked storage.
export function sessionStorageIfAllowed() {
  try {
    return globalThis.sessionStorage ?? null
  } catch {
    return null
  }
}

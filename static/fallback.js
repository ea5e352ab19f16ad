// Which transport is tried next, and when: sockets first, then Server-Sent Events, then in turns until one gets through.

/** @import { Kind, Memory } from "./types.js" */

const BACK_OFF_MS = [100, 250, 500, 1000, 2000, 5000]
const SOCKET_TRIES = 2
const SSE_MEMORY_MS = 5 * 60_000 // then sockets get another chance
const SSE_MEMORY_KEY = "progrock.sse-until"

export class Fallback {
  #only
  #storage
  #random
  #attempt = 0
  #failedSockets = 0
  #failedEvents = 0
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

  /** What failed while the network was gone says nothing about sockets. */
  networkReturned() {
    this.#attempt = 0
    this.#failedSockets = 0
  }

  /** @param {Kind} kind */
  opened(kind) {
    if (kind === "sse" && this.#failedSockets >= SOCKET_TRIES && this.#failedEvents === 0) this.#remember()
    this.#failedSockets = 0
    this.#failedEvents = 0
  }

  /** @param {Kind} kind */
  failed(kind) {
    if (kind === "websocket") this.#failedSockets += 1
    else this.#eventsFailed()
  }

  // Nothing gets through: that is the network or a restart, not a proxy that dislikes sockets. They take turns.
  #eventsFailed() {
    this.#failedEvents += 1
    this.#failedSockets = SOCKET_TRIES - 1
    this.#forget()
  }

  #remember() {
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

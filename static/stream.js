// Keeps one connection open while jobs are watched: opens it, replaces it, and lets go of it with the page.

import { Fallback } from "./fallback.js"
import { EventsConnection } from "./sse.js"
import { SocketConnection } from "./websocket.js"

/** @import { Connection } from "./connection.js" */
/** @import { Job, Kind, Notice, Owner, Reader, Surroundings, Transport, Wanted } from "./types.js" */

export class Stream {
  #surroundings
  #reader
  #page
  #fallback
  /** @type {SocketConnection | EventsConnection | null} */
  #connection = null
  /** @type {Transport} */
  #transport = "idle"
  #isAsleep = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reconnect
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #socketReturn

  /** @type {Owner} */
  #owner = {
    opened: (connection) => this.#opened(connection),
    received: (connection, frame) => this.#received(connection, frame),
    missed: (job) => this.#reader.missed(job),
    retrying: () => this.#announce("reconnecting"),
    lost: (connection) => this.#lost(connection.kind, connection),
  }

  /**
   * @param {Required<Omit<Surroundings, "fetch">>} surroundings
   * @param {Reader} reader
   */
  constructor(surroundings, reader) {
    const { WebSocket, EventSource, storage, random, page } = surroundings
    const only = !EventSource ? "websocket" : !WebSocket ? "sse" : null
    this.#surroundings = surroundings
    this.#reader = reader
    this.#page = page
    this.#fallback = new Fallback({ only, storage, random })

    page.addEventListener?.("online", () => this.#hurry())
    page.addEventListener?.("visibilitychange", () => this.#isHidden || this.#hurry())
    page.addEventListener?.("pageshow", () => this.#wake())
    page.addEventListener?.("pagehide", () => this.#sleep())
  }

  get transport() {
    return this.#transport
  }

  /** Bring the stream into line with the jobs that are watched now. */
  adjust() {
    if (this.#isAsleep) return

    const wanted = this.#reader.wanted()
    if (wanted.size === 0) this.#stop()
    else if (this.#connection) this.#connection.follow(wanted) || this.#replace()
    else if (this.#reconnect === undefined) this.#connect(wanted)
  }

  /**
   * False if it cannot be sent now.
   * @param {object} message
   */
  send(message) {
    return this.#connection?.send(message) ?? false
  }

  /**
   * The server sends no more of this job by itself.
   * @param {string} job
   */
  forget(job) {
    this.#connection?.asked.delete(job)
  }

  /** @param {Wanted} wanted */
  #connect(wanted) {
    const kind = this.#fallback.next
    try {
      this.#connection = this.#open(kind, wanted)
    } catch {
      this.#lost(kind)
    }
  }

  /**
   * @param {Kind} kind
   * @param {Wanted} wanted
   */
  #open(kind, wanted) {
    const { WebSocket, EventSource, base } = this.#surroundings
    return kind === "websocket"
      ? new SocketConnection(WebSocket, base, this.#owner)
      : new EventsConnection(EventSource, base, this.#owner, wanted)
  }

  /** @param {Connection} connection */
  #opened(connection) {
    this.#fallback.opened(connection.kind)
    if (this.#fallback.isProvisional) this.#returnToSocketLater()
    this.#announce(connection.kind)
    if (connection.kind === "websocket") this.adjust()
    this.#reader.opened()
  }

  /**
   * @param {Connection} connection
   * @param {Job | Notice} frame
   */
  #received(connection, frame) {
    if ("reconnect_in_ms" in frame) connection.reconnectInMs = frame.reconnect_in_ms
    else this.#reader.received(frame, connection)
  }

  /**
   * @param {Kind} kind
   * @param {Connection} [connection] none if it could not even be made
   */
  #lost(kind, connection) {
    this.#close()
    if (!connection?.hasOpened) this.#failed(kind)

    // A server that breaks as soon as it has spoken would otherwise be asked ten times a second.
    if (connection?.isSteady) this.#fallback.startAnew()
    this.#announce("reconnecting")
    if (!this.#isHidden) this.#connectIn(connection?.reconnectInMs ?? this.#fallback.backOffMs())
  }

  // An EventSource keeps the status of a refusal to itself, so the jobs are asked for at their own addresses. If no
  // stream at all gets through, this also keeps the page moving.
  /** @param {Kind} kind */
  #failed(kind) {
    this.#fallback.failed(kind)
    if (kind === "sse") this.#reader.missed()
  }

  /** @param {number} delayMs */
  #connectIn(delayMs) {
    clearTimeout(this.#reconnect)
    this.#reconnect = setTimeout(() => {
      this.#reconnect = undefined
      this.adjust()
    }, delayMs)
  }

  #returnToSocketLater() {
    clearTimeout(this.#socketReturn)
    this.#socketReturn = setTimeout(() => {
      this.#fallback.returnToSocket()
      this.#replace()
    }, this.#fallback.socketReturnMs())
  }

  // The moment for trying is now.
  #hurry() {
    if (this.#connection?.isFresh) return

    this.#fallback.networkReturned()
    this.#replace()
  }

  // An open connection would keep the page out of the back-forward cache.
  #sleep() {
    this.#isAsleep = true
    this.#close()
  }

  #wake() {
    this.#isAsleep = false
    this.adjust()
  }

  #stop() {
    this.#close()
    this.#fallback.startAnew()
    this.#announce("idle")
  }

  #replace() {
    this.#close()
    this.adjust()
  }

  #close() {
    clearTimeout(this.#reconnect)
    clearTimeout(this.#socketReturn)
    this.#reconnect = undefined
    this.#connection?.close()
    this.#connection = null
  }

  /** @param {Transport} transport */
  #announce(transport) {
    if (transport === this.#transport) return

    this.#transport = transport
    this.#reader.changed(transport)
  }

  get #isHidden() {
    return this.#page.document?.hidden ?? false
  }
}

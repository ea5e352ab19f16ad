// A connection over Server-Sent Events: its jobs stand in its address, and it takes no requests.

import { Connection } from "./connection.js"

/** @import { Owner, Wanted } from "./types.js" */

const CLOSED = 2

export class EventsConnection extends Connection {
  #events

  /**
   * @param {typeof globalThis.EventSource} EventSource
   * @param {string} base
   * @param {Owner} owner
   * @param {Wanted} wanted
   */
  constructor(EventSource, base, owner, wanted) {
    const events = new EventSource(address(base, wanted))
    super("sse", events, owner)
    this.#events = events
    this.asked = new Set(wanted.keys())
    this.on("open", () => this.heard())
    this.on("message", (event) => this.receive(event.data))
    this.on("heartbeat", () => this.heard())
    this.on("gone", (event) => this.miss(JSON.parse(event.data).job))
    this.on("end", () => this.#ended())
    this.on("error", () => this.#stumbled())
  }

  /**
   * Bring the news of just these jobs; false if that takes another connection.
   * @param {Wanted} wanted
   */
  follow(wanted) {
    return wanted.size === this.asked.size && [...wanted.keys()].every((job) => this.asked.has(job))
  }

  send() {
    return false
  }

  #ended() {
    this.miss()
    this.lose()
  }

  // The browser reconnects by itself, at the pace that the server asked for, unless the answer was an error.
  #stumbled() {
    if (this.isOpening || this.#events.readyState === CLOSED) this.lose()
    else this.retry()
  }
}

/**
 * @param {string} base
 * @param {Wanted} wanted
 */
function address(base, wanted) {
  const url = new URL("/events", base)
  for (const job of wanted.keys()) url.searchParams.append("job", job)
  const [[job, revision]] = wanted
  if (wanted.size === 1 && revision > 0) url.searchParams.set("last_event_id", `${job}:${revision}`)
  return url
}

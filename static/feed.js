// The feed of all watched jobs over one stream, WebSocket or Server-Sent Events, whichever gets through. No DOM.

/** @typedef {"queued" | "running" | "paused" | "stopping" | "succeeded" | "failed" | "cancelled"} Status */
/** @typedef {"cancel" | "pause" | "resume"} Action */
/** @typedef {"websocket" | "sse" | "reconnecting" | "idle"} Transport */

/**
 * @typedef {object} Job
 * @property {string} job
 * @property {string} backend
 * @property {Status} status
 * @property {number} revision
 * @property {number | null} progress
 * @property {boolean} complete
 * @property {boolean} finished
 * @property {string | null} message
 * @property {number | null} done
 * @property {number | null} total
 * @property {string | null} unit
 * @property {boolean} reachable
 * @property {Action[]} can
 * @property {Record<string, unknown>} params
 * @property {Record<string, unknown> | null} result
 * @property {{code: string, message: string} | null} error
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} observed_at
 * @property {string | null} changed_at
 * @property {string | null} finished_at
 */

/**
 * @typedef {object} Refusal
 * @property {string} [job]
 * @property {string} [action]
 * @property {{code: string, message: string}} error
 */

/** @typedef {{accept?: true, heartbeat?: true, pong?: true, reconnect_in_ms?: number, error?: Refusal["error"] | null}} Notice */

/**
 * @typedef {object} Stream
 * @property {"websocket" | "sse"} kind
 * @property {WebSocket | EventSource} source
 * @property {"opening" | "open" | "retrying"} state
 * @property {boolean} heard
 * @property {number} openedAt
 * @property {number} [reconnectInMs]
 */

/**
 * @typedef {object} Surroundings
 * @property {string} [base] where the page lives
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {typeof globalThis.EventSource} [EventSource]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} [storage]
 * @property {() => number} [random]
 * @property {{addEventListener?: EventTarget["addEventListener"], document?: {hidden: boolean}}} [page]
 */

const BACK_OFF_MS = [100, 250, 500, 1000, 2000, 5000]
const OPEN_TIMEOUT_MS = 10_000
const SILENCE_MS = 45_000 // two heartbeats of 20 s missed
const STALE_MS = 25_000 // one heartbeat missed
const STEADY_MS = 1_000
const RETRY_WATCH_MS = 5_000
const SOCKET_TRIES = 2
const SSE_MEMORY_MS = 5 * 60_000 // then sockets get another chance
const OUT_OF_REACH = "ProgRock could not be reached. Try again."
const SSE_MEMORY_KEY = "progrock.sse-until"

/**
 * Events: `job` (detail: Job), `transport` (detail: Transport), `refused` (detail: Refusal).
 */
export class Feed extends EventTarget {
  #base
  #WebSocket
  #EventSource
  #fetch
  #storage
  #random
  #page

  /** @type {Map<string, number>} the newest revision seen of each job, over every transport */
  #revisions = new Map()
  /** @type {Set<string>} */
  #watched = new Set()
  /** @type {Set<string>} the jobs that the present stream was asked for */
  #asked = new Set()
  /** @type {Set<string>} told to stop, and not yet seen to */
  #cancelling = new Set()

  /** @type {Stream | null} */
  #stream = null
  /** @type {Transport} */
  #transport = "idle"
  #failedSockets = 0
  #failedEvents = 0
  #sseUntil = 0
  #attempt = 0
  #heardAt = 0
  #settling = false
  #asleep = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reconnect
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience

  /** @param {Surroundings} surroundings */
  constructor({
    base = globalThis.location?.href,
    WebSocket = globalThis.WebSocket,
    EventSource = globalThis.EventSource,
    fetch = (...request) => globalThis.fetch(...request),
    storage = sessionStorageIfAllowed(),
    random = Math.random,
    page = globalThis,
  } = {}) {
    super()
    this.#base = base
    this.#WebSocket = WebSocket
    this.#EventSource = EventSource
    this.#fetch = fetch
    this.#storage = storage
    this.#random = random
    this.#page = page
    this.#sseUntil = Number(storage?.getItem(SSE_MEMORY_KEY) ?? 0)

    page.addEventListener?.("online", () => this.#hurry())
    page.addEventListener?.("visibilitychange", () => this.#hidden || this.#hurry())
    page.addEventListener?.("pageshow", () => this.#wake())
    page.addEventListener?.("pagehide", () => this.#sleep())
  }

  get transport() {
    return this.#transport
  }

  /**
   * @param {string} job
   * @param {number} [revision] what the page shows already
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
    if (this.#settling) return

    this.#settling = true
    queueMicrotask(() => {
      this.#settling = false
      this.#adjust()
    })
  }

  #adjust() {
    if (this.#asleep) return

    if (this.#watched.size === 0) {
      this.#close()
      this.#attempt = 0
      this.#announce("idle")
    } else if (this.#stream === null) {
      if (this.#reconnect === undefined) this.#connect()
    } else if (this.#stream.kind === "sse") {
      if (!sameMembers(this.#watched, this.#asked)) this.#replace()
    } else if (this.#stream.state === "open") {
      this.#askForWhatIsMissing()
    }
  }

  #connect() {
    const kind = this.#choose()
    this.#heardAt = Date.now()
    try {
      const source = kind === "websocket" ? this.#openSocket() : this.#openEvents()
      this.#stream = { kind, source, state: "opening", heard: false, openedAt: 0 }
      this.#waitAtMost(OPEN_TIMEOUT_MS)
    } catch {
      this.#lose(kind)
    }
  }

  /** @returns {"websocket" | "sse"} */
  #choose() {
    if (!this.#EventSource) return "websocket"
    if (!this.#WebSocket) return "sse"
    return this.#sseUntil > Date.now() || this.#failedSockets >= SOCKET_TRIES ? "sse" : "websocket"
  }

  #openSocket() {
    const url = new URL("/prog/?batch=1", this.#base)
    url.protocol = url.protocol.replace("http", "ws")
    const source = new this.#WebSocket(url)
    const stream = () => (this.#stream?.source === source ? this.#stream : null)

    source.addEventListener("message", (event) => this.#hear(stream(), event.data))
    source.addEventListener("close", () => stream() && this.#lose("websocket"))
    return source
  }

  #openEvents() {
    this.#asked = new Set(this.#watched)
    const source = new this.#EventSource(this.#eventsUrl())
    const stream = () => (this.#stream?.source === source ? this.#stream : null)

    source.addEventListener("open", () => this.#opened(stream()))
    source.addEventListener("message", (event) => this.#hear(stream(), event.data))
    source.addEventListener("heartbeat", () => this.#heard(stream()))
    source.addEventListener("gone", (event) => stream() && this.#lookUp(JSON.parse(event.data).job))
    source.addEventListener("end", () => stream() && this.#ended())
    source.addEventListener("error", () => this.#stumbled(stream()))
    return source
  }

  #eventsUrl() {
    const url = new URL("/events", this.#base)
    const jobs = [...this.#watched]
    for (const job of jobs) url.searchParams.append("job", job)
    if (jobs.length === 1 && this.#revision(jobs[0]) > 0) {
      url.searchParams.set("last_event_id", `${jobs[0]}:${this.#revision(jobs[0])}`)
    }
    return url
  }

  /**
   * @param {Stream | null} stream
   * @param {string} data
   */
  #hear(stream, data) {
    if (stream === null) return

    this.#heard(stream)
    for (const frame of [JSON.parse(data)].flat()) {
      if ("revision" in frame) this.#take(frame)
      else this.#notice(stream, frame)
    }
  }

  /** @param {Stream | null} stream */
  #heard(stream) {
    if (stream === null) return

    this.#opened(stream)
    stream.heard = true
  }

  // A socket counts as open when it speaks: some proxies accept the upgrade and then pass nothing on.
  /** @param {Stream | null} stream */
  #opened(stream) {
    if (stream === null) return

    this.#heardAt = Date.now()
    this.#waitAtMost(SILENCE_MS)
    if (stream.state === "open") return

    stream.state = "open"
    stream.openedAt = Date.now()
    if (stream.kind === "sse") this.#rememberEvents()
    this.#failedSockets = 0
    this.#failedEvents = 0
    this.#announce(stream.kind)
    if (stream.kind === "websocket") this.#askForWhatIsMissing()
    for (const job of this.#cancelling) this.cancel(job)
  }

  /** @param {Job} job */
  #take(job) {
    // An end counts whatever its revision: a Redis that lost its last writes counts anew.
    const isTheEnd = job.finished && this.#watched.delete(job.job)
    if (job.finished) {
      this.#asked.delete(job.job)
      this.#settle()
    }
    if (job.finished || job.status === "stopping") this.#cancelling.delete(job.job)
    if (job.revision <= this.#revision(job.job) && !isTheEnd) return

    this.#revisions.set(job.job, job.revision)
    this.dispatchEvent(new CustomEvent("job", { detail: job }))
  }

  /**
   * @param {Stream} stream
   * @param {Notice & Refusal} notice
   */
  #notice(stream, notice) {
    if (notice.reconnect_in_ms !== undefined) stream.reconnectInMs = notice.reconnect_in_ms
    if (notice.error) this.#refused(notice)
    if (notice.error && notice.action === "watch" && notice.job) this.#askAgainLater(stream, notice.job)
  }

  /** @param {Refusal} refusal */
  #refused(refusal) {
    if (refusal.action === "cancel" && refusal.job) this.#cancelling.delete(refusal.job)
    this.dispatchEvent(new CustomEvent("refused", { detail: refusal }))
  }

  /**
   * @param {Stream} stream
   * @param {string} job
   */
  async #askAgainLater(stream, job) {
    await this.#lookUp(job)
    setTimeout(() => {
      if (this.#stream !== stream) return
      this.#asked.delete(job)
      this.#settle()
    }, RETRY_WATCH_MS)
  }

  #askForWhatIsMissing() {
    for (const job of this.#asked) {
      if (!this.#watched.has(job)) this.#send({ action: "unwatch", job })
    }
    for (const job of this.#watched) {
      // JSON leaves out what is undefined.
      if (!this.#asked.has(job)) this.#send({ action: "watch", job, after: this.#revision(job) || undefined })
    }
    this.#asked = new Set(this.#watched)
  }

  /** @param {object} message */
  #send(message) {
    const socket = /** @type {WebSocket} */ (this.#stream?.source)
    socket.send(JSON.stringify(message))
  }

  /**
   * @param {Action} action
   * @param {string} job
   */
  async #act(action, job) {
    if (this.#stream?.kind === "websocket" && this.#stream.state === "open") {
      this.#send({ action, job })
      return
    }

    const answer = action === "cancel" ? await this.#request("DELETE", job) : await this.#request("POST", job, action)
    if (answer.ok) this.#take(answer.body)
    else this.#refused({ job, action, error: answer.error })
  }

  // An EventSource keeps the status of a refusal to itself, so the job's own address is asked; where no stream at all
  // gets through, this is also what keeps the page moving.
  /** @param {string} job */
  async #lookUp(job) {
    const answer = await this.#request("GET", job)
    if (answer.ok) this.#take(answer.body)
    if (answer.error.code === "404") {
      this.unwatch(job)
      this.#refused({ job, action: "watch", error: answer.error })
    }
  }

  /**
   * @param {string} method
   * @param {string} job
   * @param {string} [verb]
   */
  async #request(method, job, verb) {
    const url = new URL(["/jobs", encodeURIComponent(job), verb].filter(Boolean).join("/"), this.#base)
    try {
      const response = await this.#fetch(url, { method, headers: { Accept: "application/json" } })
      const body = await response.json()
      return { ok: response.ok, body, error: { code: String(response.status), message: body.detail ?? OUT_OF_REACH } }
    } catch {
      return { ok: false, body: null, error: { code: "unreachable", message: OUT_OF_REACH } }
    }
  }

  // The browser reconnects an EventSource by itself, at the pace that the server asked for, unless the answer was an error.
  /** @param {Stream | null} stream */
  #stumbled(stream) {
    if (stream === null) return

    if (stream.state === "opening" || stream.source.readyState === this.#EventSource.CLOSED) {
      this.#lose("sse")
    } else {
      stream.state = "retrying"
      this.#announce("reconnecting")
    }
  }

  #ended() {
    for (const job of this.#watched) this.#lookUp(job)
    this.#lose("sse")
  }

  /** @param {"websocket" | "sse"} kind */
  #lose(kind) {
    const stream = this.#stream
    this.#close()
    if (kind === "websocket" && !stream?.heard) this.#failedSockets += 1
    if (kind === "sse" && !stream?.openedAt) this.#eventsFailed()

    // A server that breaks as soon as it has spoken would otherwise be asked ten times a second.
    const steady = stream?.openedAt && Date.now() - stream.openedAt >= STEADY_MS
    if (steady) this.#attempt = 0
    this.#announce("reconnecting")
    if (!this.#hidden) this.#connectIn(stream?.reconnectInMs ?? this.#nextDelay())
  }

  // Nothing gets through: that is the network or a restart, not a proxy that dislikes sockets. They take turns.
  #eventsFailed() {
    this.#failedEvents += 1
    this.#failedSockets = SOCKET_TRIES - 1
    this.#forgetEvents()
    for (const job of this.#watched) this.#lookUp(job)
  }

  #nextDelay() {
    const longest = BACK_OFF_MS[Math.min(this.#attempt, BACK_OFF_MS.length - 1)]
    this.#attempt += 1
    return this.#random() * longest
  }

  /** @param {number} delayMs */
  #connectIn(delayMs) {
    clearTimeout(this.#reconnect)
    this.#reconnect = setTimeout(() => {
      this.#reconnect = undefined
      this.#adjust()
    }, delayMs)
  }

  /** @param {number} silenceMs */
  #waitAtMost(silenceMs) {
    clearTimeout(this.#patience)
    this.#patience = setTimeout(() => this.#stream && this.#lose(this.#stream.kind), silenceMs)
  }

  // The moment for trying is now; what failed while the network was gone says nothing about sockets.
  #hurry() {
    const fresh = Date.now() - this.#heardAt < STALE_MS
    if (this.#stream && this.#stream.state !== "retrying" && fresh) return

    this.#failedSockets = 0
    this.#attempt = 0
    this.#replace()
  }

  // An open stream would keep the page out of the back-forward cache.
  #sleep() {
    this.#asleep = true
    this.#close()
  }

  #wake() {
    this.#asleep = false
    this.#adjust()
  }

  #replace() {
    this.#close()
    this.#adjust()
  }

  #close() {
    clearTimeout(this.#reconnect)
    clearTimeout(this.#patience)
    this.#reconnect = undefined
    this.#asked = new Set()
    const stream = this.#stream
    this.#stream = null
    stream?.source.close()
  }

  /** @param {Transport} transport */
  #announce(transport) {
    if (transport === this.#transport) return

    this.#transport = transport
    this.dispatchEvent(new CustomEvent("transport", { detail: transport }))
  }

  #rememberEvents() {
    if (this.#failedSockets < SOCKET_TRIES || this.#failedEvents > 0) return

    this.#sseUntil = Date.now() + SSE_MEMORY_MS
    this.#storage?.setItem(SSE_MEMORY_KEY, String(this.#sseUntil))
  }

  #forgetEvents() {
    this.#sseUntil = 0
    this.#storage?.removeItem(SSE_MEMORY_KEY)
  }

  get #hidden() {
    return this.#page.document?.hidden ?? false
  }

  /** @param {string} job */
  #revision(job) {
    return this.#revisions.get(job) ?? 0
  }
}

/**
 * @param {Set<string>} one
 * @param {Set<string>} other
 */
function sameMembers(one, other) {
  return one.size === other.size && [...one].every((member) => other.has(member))
}

// Merely naming it throws where the visitor has blocked storage.
function sessionStorageIfAllowed() {
  try {
    return globalThis.sessionStorage ?? null
  } catch {
    return null
  }
}

// The cards that one feed keeps up to date: each is shown the newest snapshot of its job, at most once a frame.

import { ServerClock } from "./clock.js"

/** @import { Feed } from "./feed.js" */
/** @import { JobProgress } from "./job-progress.js" */
/** @import { Job, Refusal } from "./types.js" */

const HIDDEN_FRAME_MS = 1000 // a hidden page gets no animation frames, but its title is still read

/** @type {WeakMap<Feed, Cards>} */
const cards = new WeakMap()

/** @param {Feed} feed */
export function cardsOf(feed) {
  const made = cards.get(feed) ?? new Cards(feed)
  cards.set(feed, made)
  return made
}

export class Cards {
  clock = new ServerClock()
  #feed
  /** @type {Map<string, Set<JobProgress>>} by their job */
  #cards = new Map()
  /** @type {Map<string, Job>} the newest snapshots that are not on the page yet */
  #unseen = new Map()

  /** @param {Feed} feed */
  constructor(feed) {
    this.#feed = feed
    this.clock.heard(...pageWritten())
    feed.addEventListener("job", (event) => this.#receive(/** @type {CustomEvent<Job>} */ (event).detail))
    feed.addEventListener("refused", (event) => this.#refuse(/** @type {CustomEvent<Refusal>} */ (event).detail))
    feed.addEventListener("transport", () => this.#showTransport())
    // An animation frame that was asked for just before the page was hidden comes when it is shown again.
    document.addEventListener("visibilitychange", () => this.#render())
  }

  get transport() {
    return this.#feed.transport
  }

  /**
   * @param {JobProgress} card
   * @param {number} revision
   */
  add(card, revision) {
    this.#cards.set(card.job, this.#of(card.job).add(card))
    this.#feed.watch(card.job, revision)
  }

  /** @param {JobProgress} card */
  remove(card) {
    const others = this.#of(card.job)
    others.delete(card)
    if (others.size > 0) return

    this.#cards.delete(card.job)
    this.#feed.unwatch(card.job)
  }

  /** @param {Job} job */
  #receive(job) {
    if (this.#unseen.size === 0) this.#renderSoon()
    this.#unseen.set(job.job, job)
    this.clock.heard(job.observed_at)
  }

  #renderSoon() {
    if (document.hidden) setTimeout(() => this.#render(), HIDDEN_FRAME_MS)
    else requestAnimationFrame(() => this.#render())
  }

  #render() {
    const news = [...this.#unseen.values()]
    this.#unseen.clear() // first, so that a card that cannot be shown stops no others later
    for (const job of news) for (const card of this.#of(job.job)) card.show(job)
  }

  /** @param {Refusal} refusal */
  #refuse(refusal) {
    for (const card of this.#of(refusal.job ?? "")) card.showRefusal(refusal)
  }

  #showTransport() {
    for (const cards of this.#cards.values()) for (const card of cards) card.showTransport()
  }

  /** @param {string} job */
  #of(job) {
    return this.#cards.get(job) ?? new Set()
  }
}

/**
 * The server's time in the page, and when the page began to come. Only ProgRock's own pages tell it.
 * @returns {[string | null | undefined, number]}
 */
function pageWritten() {
  const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"))
  const written = document.querySelector("meta[name=now]")?.getAttribute("content")
  return [written, performance.timeOrigin + (navigation?.responseStart ?? 0)]
}

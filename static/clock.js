// The server's clock, as far as this computer can tell: it compares the times in the news with its own.

export class ServerClock {
  /** how far this computer's clock is ahead, in ms; at most the delay of the fastest news */
  #aheadMs = Infinity

  /**
   * @param {string | null | undefined} time the server's, when it wrote the news
   * @param {number} [at] when the news came
   */
  heard(time, at = Date.now()) {
    const aheadMs = at - Date.parse(time ?? "")
    if (aheadMs < this.#aheadMs) this.#aheadMs = aheadMs
  }

  now() {
    return Date.now() - (this.#aheadMs === Infinity ? 0 : this.#aheadMs)
  }
}

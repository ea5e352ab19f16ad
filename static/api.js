// The HTTP API: one method for each request that the page makes.

/** @import { Action, Answer, Job } from "./types.js" */

const OUT_OF_REACH = "ProgRock could not be reached. Try again."

export class Api {
  #base
  #fetch

  /** @param {{base?: string, fetch?: typeof globalThis.fetch}} surroundings */
  constructor({ base = globalThis.location?.href, fetch = (...request) => globalThis.fetch(...request) } = {}) {
    this.#base = base
    this.#fetch = fetch
  }

  /**
   * @param {{backend?: string, params: Record<string, unknown>}} order
   * @param {string} key the same key gives the same job
   * @returns {Promise<Answer<Job>>}
   */
  start(order, key) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key }
    return this.#request("POST", ["jobs"], { headers, body: JSON.stringify(order) })
  }

  /** @returns {Promise<Answer<{jobs: Job[]}>>} */
  list() {
    return this.#request("GET", ["jobs"])
  }

  /**
   * @param {string} job
   * @returns {Promise<Answer<Job>>}
   */
  get(job) {
    return this.#request("GET", ["jobs", job])
  }

  /**
   * @param {Action} action
   * @param {string} job
   * @returns {Promise<Answer<Job>>}
   */
  act(action, job) {
    return action === "cancel" ? this.#request("DELETE", ["jobs", job]) : this.#request("POST", ["jobs", job, action])
  }

  /**
   * @param {string} method
   * @param {string[]} path
   * @param {{headers?: Record<string, string>, body?: string}} [more]
   * @returns {Promise<Answer<any>>}
   */
  async #request(method, path, { headers, body } = {}) {
    const url = new URL(`/${path.map(encodeURIComponent).join("/")}`, this.#base)
    try {
      const response = await this.#fetch(url, { method, headers: { Accept: "application/json", ...headers }, body })
      return read(response.ok, response.status, await response.json())
    } catch {
      return { ok: false, status: 0, error: { code: "unreachable", message: OUT_OF_REACH } }
    }
  }
}

/**
 * @param {boolean} ok
 * @param {number} status
 * @param {any} body
 * @returns {Answer<any>}
 */
function read(ok, status, body) {
  if (ok) return { ok, status, body }
  return { ok, status, error: { code: String(status), message: body.detail ?? body.title ?? OUT_OF_REACH } }
}

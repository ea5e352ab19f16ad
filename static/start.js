// The start forms without a page load: each asks for a job, puts its card on the list, and says why it was refused.

import { Api } from "./api.js"
import { params } from "./form.js"
import "./job-progress.js"
import { insert } from "./list.js"

const api = new Api()

/** @type {WeakMap<HTMLFormElement, {order: string, key: string}>} an order is one job, however often it is sent */
const unanswered = new WeakMap()

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form[data-backend]"))) {
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    start(form)
  })
}

// Going back may show the page as it was, without the jobs that have been started on it.
const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"))
if (navigation?.type === "back_forward") insertMissing()

/** @param {HTMLFormElement} form */
async function start(form) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"))
  if (button.ariaBusy === "true") return

  button.ariaBusy = "true"
  const answer = await submit(form)
  button.ariaBusy = "false"
  say(form, "refusal", answer.ok ? "" : answer.error.message)
  say(form, "announcement", answer.ok ? `${form.dataset.title} has started.` : "")
  if (answer.ok) insert(answer.body)
}

/** @param {HTMLFormElement} form */
async function submit(form) {
  const order = { backend: form.dataset.backend, params: params(form) }
  const answer = await api.start(order, keyFor(form, JSON.stringify(order)))
  const isAnswered = answer.status > 0 && answer.status < 500
  if (isAnswered) unanswered.delete(form)
  return answer
}

/**
 * @param {HTMLFormElement} form
 * @param {string} order
 */
function keyFor(form, order) {
  const before = unanswered.get(form)
  // Not crypto.randomUUID, which is missing if the page comes over plain HTTP.
  const key = before?.order === order ? before.key : crypto.getRandomValues(new Uint32Array(4)).join("-")
  unanswered.set(form, { order, key })
  return key
}

async function insertMissing() {
  const answer = await api.list()
  if (answer.ok) for (const job of answer.body.jobs.reverse()) insert(job)
}

/**
 * @param {HTMLFormElement} form
 * @param {string} name
 * @param {string} words
 */
function say(form, name, words) {
  const place = form.querySelector(`[data-field=${name}]`)
  if (place) place.textContent = words
}

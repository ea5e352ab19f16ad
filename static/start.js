// The start forms without a page load: asks for the job, puts its card on top of the list, and says what was refused.

import { JobProgress } from "./job-progress.js"

/** @typedef {import("./types.js").Job} Job */

const OUT_OF_REACH = "ProgRock could not be reached. Try again."

/** @type {WeakMap<HTMLFormElement, {body: string, key: string}>} one wish is one job, however often it has to be sent */
const unanswered = new WeakMap()

for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form[data-backend]"))) {
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    start(form)
  })
}

// Going back may show the page as it was, without the jobs that have been started on it.
const [navigation] = /** @type {PerformanceNavigationTiming[]} */ (performance.getEntriesByType("navigation"))
if (navigation.type === "back_forward") insertMissing()

/** @param {HTMLFormElement} form */
async function start(form) {
  const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"))
  if (button.ariaBusy === "true") return

  button.ariaBusy = "true"
  const { job, refusal } = await submit(form)
  button.ariaBusy = "false"
  say(form, "refusal", refusal ?? "")
  say(form, "announcement", job ? `${form.dataset.title} has started.` : "")
  if (job) insert(job)
}

/**
 * @param {HTMLFormElement} form
 * @returns {Promise<{job?: Job, refusal?: string}>}
 */
async function submit(form) {
  const body = JSON.stringify({ backend: form.dataset.backend, params: params(form) })
  const key = keyFor(form, body)
  try {
    const response = await fetch("/jobs", {
      method: "POST",
      headers: { Accept: "application/json", "Content-Type": "application/json", "Idempotency-Key": key },
      body,
    })
    if (response.status < 500) unanswered.delete(form)
    const answer = await response.json()
    return response.ok ? { job: answer } : { refusal: answer.detail ?? answer.title }
  } catch {
    return { refusal: OUT_OF_REACH }
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {string} body
 */
function keyFor(form, body) {
  const before = unanswered.get(form)
  // Not crypto.randomUUID, which is missing where the page comes over plain HTTP.
  const key = before?.body === body ? before.key : crypto.getRandomValues(new Uint32Array(4)).join("-")
  unanswered.set(form, { body, key })
  return key
}

/**
 * What is left empty is left out, so that the recipe's own default applies.
 * @param {HTMLFormElement} form
 */
function params(form) {
  const fields = /** @type {(HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement)[]} */ (
    [...form.querySelectorAll("[data-type]")]
  )
  return Object.fromEntries(fields.map((field) => [field.name, value(field)]).filter(([, given]) => given !== ""))
}

/** @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} field */
function value(field) {
  if (field instanceof HTMLInputElement && field.type === "checkbox" && !field.checked) {
    return field.dataset.default === "true" ? false : ""
  }
  if (field.value === "") return ""
  if (field.dataset.type === "integer" || field.dataset.type === "number") return Number(field.value)
  if (field.dataset.type === "boolean") return field.value === "true"
  return field.value
}

async function insertMissing() {
  const response = await fetch("/jobs", { headers: { Accept: "application/json" } })
  const { jobs = [] } = await response.json()
  for (const job of jobs.reverse()) insert(job)
}

/** @param {Job} job */
function insert(job) {
  const list = /** @type {HTMLElement} */ (document.querySelector("#jobs"))
  if (list.querySelector(`job-progress[job="${CSS.escape(job.job)}"]`)) return

  const template = /** @type {HTMLTemplateElement} */ (document.querySelector("#job-card"))
  const item = document.importNode(template.content, true)
  const card = /** @type {JobProgress} */ (item.querySelector("job-progress"))
  card.fill(job)
  list.prepend(item)
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

// The list of jobs on the start page: a new job's card comes on top.

import { parameters } from "./format.js"

/** @import { JobProgress } from "./job-progress.js" */
/** @import { Job } from "./types.js" */

/** @param {Job} job */
export function insert(job) {
  const list = /** @type {HTMLElement} */ (document.querySelector("#jobs"))
  if (list.querySelector(`job-progress[job="${CSS.escape(job.job)}"]`)) return

  const template = /** @type {HTMLTemplateElement} */ (document.querySelector("#job-card"))
  const item = document.importNode(template.content, true)
  fill(/** @type {JobProgress} */ (item.querySelector("job-progress")), job)
  list.prepend(item)
}

/**
 * @param {JobProgress} card
 * @param {Job} job
 */
function fill(card, job) {
  const names = card.querySelectorAll("[data-field=backend]")
  for (const name of names) name.textContent = titleOf(job.backend)
  names[0].setAttribute("href", `/jobs/${job.job}`)
  for (const form of card.querySelectorAll("[data-action]")) {
    form.setAttribute("action", `/jobs/${job.job}/${form.getAttribute("data-action")}`)
  }
  card.querySelector("[data-field=params]")?.append(parameters(job.params))
  card.setAttribute("job", job.job)
  card.show(job)
}

/** @param {string} backend */
function titleOf(backend) {
  const form = document.querySelector(`form[data-backend="${CSS.escape(backend)}"]`)
  return form?.getAttribute("data-title") ?? backend
}

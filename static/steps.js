// A job's steps in its card: only what has changed is written.

import { MAX_STEPS, stepState, stepsDone } from "./format.js"

/** @import { Step } from "./types.js" */

const FEW = 10 // more are folded up, until somebody wants to see them

/**
 * @param {HTMLDetailsElement | null} place
 * @param {Step[] | null | undefined} steps
 */
export function showSteps(place, steps) {
  const list = place?.querySelector("ol")
  const shown = (steps ?? []).slice(0, MAX_STEPS)
  if (!place || !list || shown.length + list.childElementCount === 0) return

  if (place.hidden) place.open = shown.length <= FEW
  place.hidden = shown.length === 0
  put(place.querySelector("summary"), stepsDone(steps))
  while (list.childElementCount > shown.length) list.lastElementChild?.remove()
  for (const [index, step] of shown.entries()) show(list.children[index] ?? list.appendChild(empty()), step)
}

function empty() {
  const item = document.createElement("li")
  for (const name of ["title", "state"]) {
    const text = document.createElement("span")
    text.className = name
    item.append(text, " ")
  }
  return item
}

/**
 * @param {Element} item
 * @param {Step} step
 */
function show(item, step) {
  const status = step.status ?? ""
  if (item.getAttribute("data-status") !== status) item.setAttribute("data-status", status)
  put(item.firstElementChild, step.title)
  put(item.lastElementChild, stepState(step))
}

/**
 * @param {Element | null} place
 * @param {string} text
 */
function put(place, text) {
  if (place && place.textContent !== text) place.textContent = text
}

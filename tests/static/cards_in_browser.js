// For tests of the element in a browser: a feed that notes its requests, cards of it, and the reading of a card.

class NotingFeed extends EventTarget {
  transport = "idle"
  asked = []

  watch(job) {
    this.asked.push(["watch", job])
  }

  unwatch(job) {
    this.asked.push(["unwatch", job])
  }

  pause(job) {
    this.asked.push(["pause", job])
  }

  resume(job) {
    this.asked.push(["resume", job])
  }

  // Resolved when the cards have shown it.
  tell(job) {
    this.dispatchEvent(new CustomEvent("job", { detail: job }))
    return new Promise((resolve) => requestAnimationFrame(resolve))
  }
}

function cardOf(feed, job) {
  const template = document.querySelector("#job-card").content
  const card = document.importNode(template, true).querySelector("job-progress")
  card.feed = feed
  card.setAttribute("job", job)
  return card
}

function textOf(card, field) {
  return card.querySelector(`[data-field=${field}]`).textContent
}

function readingOf(card) {
  const texts = ["status", "message", "error", "amount", "percent", "elapsed", "silence", "steps-done"]
  const buttons = [...card.querySelectorAll("[data-action]:not([hidden])")]
  return {
    ...Object.fromEntries(texts.map((field) => [field, textOf(card, field)])),
    steps: [...card.querySelectorAll(".steps li")].map((step) => step.textContent.trim()),
    bar: card.querySelector("progress").getAttribute("value"),
    buttons: buttons.map((button) => button.dataset.action).sort(),
    stopping: card.querySelector("[data-action=cancel] button").disabled,
    result: resultOf(card.querySelector("[data-field=result]").firstElementChild),
  }
}

function resultOf(element) {
  if (element === null) return null
  if (element.matches("dl")) return { kind: "values", rows: rowsOf(element) }

  const href = element.getAttribute("href")
  const image = element.querySelector("img")
  if (image?.getAttribute("src") === href) return { kind: "picture", href }
  return { kind: "download", href, label: element.textContent }
}

function rowsOf(list) {
  return [...list.querySelectorAll("dt")].map((term) => [term.textContent, term.nextElementSibling.textContent])
}

Object.assign(globalThis, { NotingFeed, cardOf, textOf, readingOf })

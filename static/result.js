// A job's result as elements: a picture, a download, or a list of values.

/** @import { ResultView } from "./types.js" */

/** @param {ResultView} view */
export function resultElement(view) {
  switch (view.kind) {
    case "picture":
      return picture(view.href)
    case "download":
      return download(view.href, view.label)
    case "values":
      return values(view.rows)
  }
}

/** @param {string} href */
function picture(href) {
  const image = element("img", { src: href, alt: "What this job made", loading: "lazy" })
  return element("a", { href }, image)
}

/**
 * @param {string} href
 * @param {string} label
 */
function download(href, label) {
  return element("a", { href, download: "", class: "download" }, label)
}

/** @param {[name: string, value: string][]} rows */
function values(rows) {
  return element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]))
}

/**
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {(string | Element)[]} children
 */
function element(name, attributes, ...children) {
  const made = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value)
  made.append(...children)
  return made
}

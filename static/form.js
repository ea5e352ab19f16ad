// Reads a start form as the parameters of a recipe.

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

/**
 * An empty field is left out, so that the recipe's own default applies.
 * @param {HTMLFormElement} form
 */
export function params(form) {
  const fields = /** @type {Field[]} */ ([...form.querySelectorAll("[data-type]")])
  return Object.fromEntries(fields.map((field) => [field.name, value(field)]).filter(([, given]) => given !== ""))
}

/** @param {Field} field */
function value(field) {
  if (field instanceof HTMLInputElement && field.type === "checkbox" && !field.checked) {
    return field.dataset.default === "true" ? false : ""
  }
  if (field.value === "") return ""
  if (field.dataset.type === "integer" || field.dataset.type === "number") return Number(field.value)
  if (field.dataset.type === "boolean") return field.value === "true"
  return field.value
}

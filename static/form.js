// Reads a start form as the parameters of a recipe.

/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Field */

/**
 * An empty field is left out, so that the recipe's own default applies.
 * @param {HTMLFormElement} form
 */
export function params(form) {
  /** @type {Record<string, any>} */
  const params = {}
  for (const field of /** @type {NodeListOf<Field>} */ (form.querySelectorAll("[data-type]"))) {
    const given = value(field)
    if (given !== "") put(params, JSON.parse(field.dataset.path ?? "[]"), given)
  }
  return params
}

/**
 * The fields of a group are one object.
 * @param {Record<string, any>} params
 * @param {string[]} path
 * @param {unknown} given
 */
function put(params, [name, ...rest], given) {
  if (rest.length === 0) params[name] = given
  else put((params[name] ??= {}), rest, given)
}

/** @param {Field} field */
function value(field) {
  if (field instanceof HTMLInputElement && field.type === "checkbox" && !field.checked) {
    return field.dataset.default === "true" ? false : ""
  }
  if (field.value === "") return ""
  if (field.dataset.type === "integer" || field.dataset.type === "number") return Number(field.value)
  if (field.dataset.type === "boolean") return field.value === "true"
  return field.dataset.type === "string" ? field.value : parsed(field.value)
}

/**
 * A list is typed as JSON; of what is none, the server says why it does not fit.
 * @param {string} text
 */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

// The npm package `eventsource` reads one job's feed and prints each snapshot. It does not know our `end`: what stops it
// is the 204 with which its return is answered.
import { EventSource } from "eventsource"

const [url, job, cookie] = process.argv.slice(2)
const source = new EventSource(`${url}/events?job=${job}`, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Cookie: cookie } }),
})

source.addEventListener("message", (event) => console.log(event.data))

// The npm package `reconnecting-eventsource` reads one job's feed to the `end` event and prints each snapshot.
import { EventSource } from "eventsource"
import reconnecting from "reconnecting-eventsource"

const [url, job, cookie] = process.argv.slice(2)
const ReconnectingEventSource = reconnecting.default ?? reconnecting
const source = new ReconnectingEventSource(`${url}/events?job=${job}`, {
  eventSourceClass: EventSource,
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Cookie: cookie } }),
})

source.addEventListener("message", (event) => console.log(event.data))
source.addEventListener("end", () => source.close())

// The npm package `ws` reads one job's feed to its end and prints each snapshot.
import WebSocket from "ws"

const [url, job, cookie] = process.argv.slice(2)
const socket = new WebSocket(`${url.replace("http", "ws")}/prog/`, { headers: { Cookie: cookie } })

socket.on("message", (data) => {
  const frame = JSON.parse(data.toString())
  if (frame.accept) socket.send(JSON.stringify({ action: "watch", job }))
  else console.log(JSON.stringify(frame))
  if (frame.finished) socket.close()
})

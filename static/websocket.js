// A connection over a WebSocket: it is asked for jobs, and takes requests.

import { Connection } from "./connection.js"

/** @import { Owner, Wanted } from "./types.js" */

export class SocketConnection extends Connection {
  #socket

  /**
   * @param {typeof globalThis.WebSocket} WebSocket
   * @param {string} base
   * @param {Owner} owner
   */
  constructor(WebSocket, base, owner) {
    const socket = new WebSocket(address(base))
    super("websocket", socket, owner)
    this.#socket = socket
    // It counts as open when it speaks: some proxies accept the upgrade and then pass nothing on.
    this.on("message", (event) => this.receive(event.data))
    this.on("close", () => this.lose())
  }

  /**
   * Bring the news of just these jobs; false if that takes another connection.
   * @param {Wanted} wanted
   */
  follow(wanted) {
    for (const job of this.asked) {
      if (!wanted.has(job) && this.send({ action: "unwatch", job })) this.asked.delete(job)
    }
    for (const [job, revision] of wanted) {
      // JSON leaves out undefined values.
      if (!this.asked.has(job) && this.send({ action: "watch", job, after: revision || undefined })) this.asked.add(job)
    }
    return true
  }

  /**
   * False if it cannot be sent now.
   * @param {object} message
   */
  send(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message))
    return this.isOpen
  }
}

/** @param {string} base */
function address(base) {
  const url = new URL("/prog/?batch=1", base)
  url.protocol = url.protocol.replace("http", "ws")
  return url
}

// One feed for each server, made when the first element of that server is connected.

import { Feed } from "./feed.js"

/** @type {Map<string, Feed>} */
const feeds = new Map()

/** @param {string} base the server's address */
export function feedOf(base) {
  const feed = feeds.get(base) ?? new Feed({ base })
  feeds.set(base, feed)
  return feed
}

// The shapes that several modules share; only comments import this file.

/** @import { Connection } from "./connection.js" */

/** @typedef {"queued" | "running" | "paused" | "stopping" | "succeeded" | "failed" | "cancelled"} Status */
/** @typedef {"cancel" | "pause" | "resume"} Action */
/** @typedef {"websocket" | "sse"} Kind */
/** @typedef {Kind | "reconnecting" | "idle"} Transport */
/** @typedef {{code: string, message: string}} Failure */
/** @typedef {{title: string, status: Status | null, progress: number | null}} Step */

/**
 * @typedef {object} Job
 * @property {string} job
 * @property {string} backend
 * @property {Status} status
 * @property {number} revision
 * @property {number | null} progress
 * @property {boolean} complete
 * @property {boolean} finished
 * @property {string | null} message
 * @property {number | null} done
 * @property {number | null} total
 * @property {string | null} unit
 * @property {boolean} reachable
 * @property {Action[]} can
 * @property {Step[] | null} [steps]
 * @property {number | null} [queue_place]
 * @property {boolean} [adopted]
 * @property {Record<string, unknown>} params
 * @property {Record<string, unknown> | null} result
 * @property {Failure | null} error
 * @property {string} created_at
 * @property {string | null} started_at
 * @property {string | null} observed_at
 * @property {string | null} changed_at
 * @property {string | null} finished_at
 */

/**
 * @typedef {{kind: "picture", href: string}
 *   | {kind: "download", href: string, label: string}
 *   | {kind: "values", rows: [name: string, value: string][]}} ResultView
 */

/**
 * A request that was refused, or that did not get through.
 * @typedef {object} Refusal
 * @property {string} [job]
 * @property {string} [action]
 * @property {Failure} error
 */

/**
 * A message that is not a snapshot.
 * @typedef {object} Notice
 * @property {true} [accept]
 * @property {true} [heartbeat]
 * @property {true} [pong]
 * @property {number} [reconnect_in_ms]
 * @property {Failure | null} [error]
 * @property {string} [action]
 * @property {string} [job]
 */

/** @typedef {Map<string, number>} Wanted the watched jobs, each with the newest revision seen of it */

/**
 * An answer of the HTTP API; `status` is 0 if there was none.
 * @template Body
 * @typedef {{ok: true, status: number, body: Body} | {ok: false, status: number, error: Failure}} Answer
 */

/**
 * The feed, as a stream sees it.
 * @typedef {object} Reader
 * @property {() => Wanted} wanted
 * @property {(transport: Transport) => void} changed
 * @property {() => void} opened
 * @property {(frame: Job | Notice, connection: Connection) => void} received
 * @property {(job?: string) => void} missed this job, or every job, has news that no connection will bring
 */

/**
 * The stream, as its connection sees it. A connection that is closed tells it nothing any more.
 * @typedef {object} Owner
 * @property {(connection: Connection) => void} opened it works, or works again
 * @property {(connection: Connection) => void} retrying the browser is reconnecting it
 * @property {(connection: Connection) => void} lost
 * @property {(connection: Connection, frame: Job | Notice) => void} received
 * @property {(job?: string) => void} missed this job, or every job, has news that the connection will not bring
 */

/** @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} Memory */
/** @typedef {{addEventListener?: EventTarget["addEventListener"], document?: {hidden: boolean}}} Page */

/**
 * @typedef {object} Surroundings
 * @property {string} [base] the server's address
 * @property {typeof globalThis.WebSocket} [WebSocket]
 * @property {typeof globalThis.EventSource} [EventSource]
 * @property {typeof globalThis.fetch} [fetch]
 * @property {Memory | null} [storage]
 * @property {() => number} [random]
 * @property {Page} [page]
 */

export {}

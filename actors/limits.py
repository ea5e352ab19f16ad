"""Every limit on third parties and on their answers, in one list.

`web/server/limits.py` has those on clients. A recipe sets its own time-out, concurrency
and batch size (`recipes/format.py`).
"""

MAX_NESTING = 32  # of JSON from outside, from a backend or a client
MAX_ANSWER_BYTES = 1_000_000
MAX_MESSAGE_CHARACTERS = 500
MAX_REF_CHARACTERS = 2_000
MAX_KEPT = 8  # values of answers that are remembered for a job
MAX_KEPT_CHARACTERS = 500
MAX_STEPS = 50
MAX_LISTED = 100  # jobs of a service that people may choose from
MAX_TITLE_CHARACTERS = 200
MAX_NUMBER = 2**53  # browsers count exactly up to here
MAX_NUMBER_CHARACTERS = 40  # of a text that is a number
MAX_MATCHED_CHARACTERS = 10_000  # of the end of a text, such as a log
ABSENT_AFTER_MS = 3_000  # a short list, or a proxy without its service, ends no job
DEADLINE_PATIENCE_MS = 60_000  # to stop a job that is overdue and not reachable
UNSEEN_AFTER_MS = 15_000  # a service may know a new job only after a while
MAX_BACKOFF_WATCHED_MS = 2_000
MAX_AWAY_MS = 1_000  # between two looks at whether a backend has come back
MAX_BACKOFF_IDLE_MS = 30_000
MAX_RETRY_AFTER_MS = 60_000  # that a backend may ask for
UNASKED_AFTER_MS = 2 * MAX_RETRY_AFTER_MS  # between two calls: no worker ran
MAX_HALVINGS = 16  # of a bulk call whose answer cannot be read; one bad job needs 7
MAX_START_ATTEMPTS = 4
MAX_START_MS = 10_000  # for all of them
ASK_AGAIN_AFTER_MS = 2_000  # a request that was sent, and to which nothing happened
UNKNOWN_BACKEND_GRACE_MS = 60_000  # in which a rolling deploy may bring the recipe
UNKNOWN_BACKEND_RETRY_MS = 2_000
LOG_CAUSE_AGAIN_AFTER_S = 600  # of an error that a class in Python raises alike

"""Every limit on a client, in one list.

`actors/limits.py` has those on third parties, the settings those that people choose.
"""

# One request or message
MAX_BODY_BYTES = 64 * 1024  # of a body, and of a message on a socket
MAX_KEY_CHARACTERS = 255  # of an Idempotency-Key

# One stream
MAX_JOBS_PER_SOCKET = 5000
MAX_JOBS_PER_EVENT_STREAM = 500
MAX_BATCH_BYTES = MAX_BODY_BYTES - 1  # each snapshot has a comma, two brackets need one

# One request over HTTP
MAX_WAIT_S = 25  # of a long poll
MAX_JOBS_PER_LIST = 100
LISTING_LASTS_S = 2  # in which a backend is not asked again for its jobs
MAX_LISTING_S = 10

# The messages of one socket: so many at once, and so many a second in the long run
MESSAGE_BURST = 300
MESSAGES_PER_SECOND = 100
BYTES_PER_MESSAGE = 1024  # a longer one counts as several

# One connection
SILENT_READER_S = 30  # in which a client must take or confirm something (tcp(7))
MAX_UNSENT_BYTES = 16 * 1024  # that the kernel holds for a client; more would be stale
KEEP_ALIVE_S = 95  # longer than a proxy keeps its own connections
FAREWELL_S = 1  # in which a client may read why it is closed

# The process
MAX_FILES = 65_536  # each stream is an open file

"""One render: a picture that is drawn in a process, band by band."""

import logging
from concurrent.futures.process import BrokenProcessPool
from typing import Literal

import msgspec

from .mandelbrot import Picture, encode_png, render_band
from .pool import Pool

State = Literal["waiting", "rendering", "done", "failed", "stopped"]

BAND_S = 0.08  # short, so that renders take turns and a stop takes effect at once

logger = logging.getLogger(__name__)


class Status(msgspec.Struct, frozen=True):
    id: str
    state: State
    rows_done: int
    rows_total: int
    message: str
    error: str | None
    image: str | None
    status_calls: int


class Render:
    def __init__(self, id: str, picture: Picture, idempotency_key: str | None) -> None:
        self.id = id
        self.picture = picture
        self.idempotency_key = idempotency_key
        self.status_calls = 0
        self.png: bytes | None = None
        self._state: State = "waiting"
        self._rows_done = 0
        self._error: str | None = None

    async def draw(self, pool: Pool) -> None:
        try:
            self.png = await self._draw_bands(pool)
            self._state = "done"
        except BrokenProcessPool:
            self._fail("the process that drew the picture died")
        except Exception:
            logger.exception("Render %s failed.", self.id)
            self._fail("the picture could not be drawn")

    def stop(self) -> None:
        self._state = "stopped"

    def status(self) -> Status:
        done = self._state == "done"
        return Status(
            id=self.id,
            state=self._state,
            rows_done=self._rows_done,
            rows_total=self.picture.height,
            message=f"row {self._rows_done} of {self.picture.height}",
            error=self._error,
            image=f"/renders/{self.id}/image.png" if done else None,
            status_calls=self.status_calls,
        )

    async def _draw_bands(self, pool: Pool) -> bytes:
        rows: list[bytes] = []
        while len(rows) < self.picture.height:
            rows += await pool.run(render_band, self.picture, len(rows), BAND_S)
            self._state = "rendering"
            self._rows_done = len(rows)
        return await pool.run(encode_png, self.picture, rows)

    def _fail(self, error: str) -> None:
        self._state = "failed"
        self._error = error

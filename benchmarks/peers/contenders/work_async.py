"""The same as work.py for contenders that run coroutines."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import redis.asyncio
from work import DONE, HELD, MARKS, MAX_HOLD, NAPS, URL

client: Any = redis.asyncio.Redis.from_url(URL)


async def noop() -> None:
    await client.incr(DONE)


async def mark(sent: float) -> None:
    await client.rpush(MARKS, f"{os.getpid()} {time.monotonic() - sent}")


async def nap(seconds: float) -> None:
    await client.rpush(NAPS, "began")
    await asyncio.sleep(seconds)
    await client.rpush(NAPS, "ended")


async def hold() -> None:
    if await client.rpush(HELD, f"{os.getpid()} {time.monotonic()}") == 1:
        await asyncio.sleep(MAX_HOLD)

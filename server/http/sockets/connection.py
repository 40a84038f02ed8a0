"""One connection: its first message, its operations side by side, and its end."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from domain.errors import RateLimited, Timeout, Unauthenticated
from schema.errors import Log, mask_one
from server.http.params import Params
from server.http.pipeline import Caller, Pipeline, Subscription
from server.http.request import Receive, Send
from server.http.response import Outcome, encode
from server.http.sockets.delivery import Delivery
from server.http.sockets.messages import (
    ACKNOWLEDGED,
    PONG,
    Close,
    Closing,
    Received,
    authorization_of,
    close_of,
    complete_message,
    error_message,
    next_message,
    operation_of,
    read_message,
)
from server.http.sockets.options import SocketOptions
from server.http.sockets.session import Session


class Gone(Exception):
    """The client is no longer there, or reads no more: there is nobody to tell."""


class Connection:
    """Reads what a client sends, and runs each operation in a task of its own."""

    def __init__(
        self,
        pipeline: Pipeline,
        session: Session,
        options: SocketOptions,
        log: Log,
        receive: Receive,
        send: Send,
    ) -> None:
        self._pipeline = pipeline
        self._session = session
        self._options = options
        self._log = log
        self._write: Callable[..., None] = options.request_lines or log.info
        self._receive = receive
        self._send = send
        self._operations: dict[str, asyncio.Task[None]] = {}

    async def initialise(self) -> Caller:
        """Wait for the first message and find out who sent it; raise Closing where that is refused."""
        try:
            async with asyncio.timeout(self._options.initialisation_seconds):
                while (received := await self._next()).type in ("ping", "pong"):
                    await self._put(PONG)
        except TimeoutError:
            raise Closing(Close.INITIALISATION_TIMEOUT, "Connection initialisation timeout") from None
        if received.type != "connection_init":
            raise Closing(Close.NOT_INITIALISED, "Unauthorized")
        try:
            self._session.sign_in(authorization_of(received))
            return (await self._session.rights()).caller
        except Closing:
            raise
        except Exception as error:  # noqa: BLE001 (masked, or the refusal the caller is owed)
            raise close_of(mask_one(error, self._log)) from None

    async def run(self) -> None:
        """Acknowledge, and serve until the client leaves or is made to; raise Closing or Gone."""
        await self._put(ACKNOWLEDGED)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._take(await self._next(), group)
        except BaseExceptionGroup as ended:
            # one operation's end ends the others, and whichever said it first says why
            raise ended.exceptions[0] from None

    async def _take(self, received: Received, group: asyncio.TaskGroup) -> None:
        if received.type == "connection_init":
            raise Closing(Close.INITIALISED_TWICE, "Too many initialisation requests")
        if received.type == "ping":
            await self._put(PONG)
        elif received.type == "subscribe":
            await self._start(received, group)
        elif received.type == "complete" and (task := self._operations.get(received.id)):
            task.cancel()
            # its place is free for the next message only when it has let go of everything
            await asyncio.wait({task})

    async def _start(self, received: Received, group: asyncio.TaskGroup) -> None:
        id_, params = received.id, operation_of(received)
        if id_ in self._operations:
            raise Closing(Close.ID_TAKEN, f"Subscriber for {id_} already exists")
        if len(self._operations) >= self._options.operations:
            refusal = RateLimited(f"The limit is {self._options.operations} operations at once on one connection.")
            await self._put(error_message(id_, [mask_one(refusal, self._log)]))
            return
        task = group.create_task(self._operate(id_, params))
        self._operations[id_] = task
        task.add_done_callback(lambda done: self._forget(id_, done))

    def _forget(self, id_: str, task: "asyncio.Task[None]") -> None:
        if self._operations.get(id_) is task:
            del self._operations[id_]

    async def _operate(self, id_: str, params: Params) -> None:
        try:
            last = await self._run(id_, params)
        except (Closing, Gone):
            raise
        except Unauthenticated as error:
            raise close_of(mask_one(error, self._log)) from None
        except Exception as error:  # noqa: BLE001 (the last line: whatever it is, the client gets an id and no more)
            last = error_message(id_, [mask_one(Timeout() if isinstance(error, TimeoutError) else error, self._log)])
        # free before the client can know that it ended, and may use the id again
        self._operations.pop(id_, None)
        await self._put(last)

    async def _run(self, id_: str, params: Params) -> bytes:
        """Run an operation up to the message that ends it, and return that."""
        rights, began = await self._session.rights(), time.perf_counter()
        async with asyncio.timeout(self._options.request_seconds):
            opened = await self._pipeline.open(params, rights.caller, rights.context)
        if isinstance(opened, Subscription):
            return await self._deliver(id_, params, opened, rights.caller)
        self._log_operation(params, rights.caller, opened, time.perf_counter() - began)
        return await self._answer(id_, opened)

    async def _answer(self, id_: str, outcome: Outcome) -> bytes:
        if outcome.data is None:
            return error_message(id_, outcome.errors)
        await self._put(next_message(id_, encode(outcome)))
        return complete_message(id_)

    async def _deliver(self, id_: str, params: Params, subscription: Subscription, caller: Caller) -> bytes:
        began, delivered = time.perf_counter(), 0
        delivery = Delivery(self._pipeline, subscription, self._session, self._options)

        async def put(outcome: Outcome) -> None:
            nonlocal delivered
            await self._put(next_message(id_, encode(outcome)))
            delivered += 1

        try:
            await delivery.run(put)
        finally:
            self._log_subscription(params, caller, delivered, time.perf_counter() - began)
        return complete_message(id_)

    async def _next(self) -> Received:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Gone
        return read_message(message)

    async def _put(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(self._options.send_seconds):
                await self._send({"type": "websocket.send", "text": message.decode()})
        except (TimeoutError, OSError):
            raise Gone from None

    def _log_operation(self, params: Params, caller: Caller, outcome: Outcome, seconds: float) -> None:
        self._line(
            "graphql_request",
            params,
            caller,
            milliseconds=round(seconds * 1000, 1),
            cost=outcome.cost.requested if outcome.cost else 0,
            errors=sorted(outcome.codes()),
        )

    def _log_subscription(self, params: Params, caller: Caller, delivered: int, seconds: float) -> None:
        self._line("graphql_subscription", params, caller, seconds=round(seconds, 1), delivered=delivered)

    def _line(self, event: str, params: Params, caller: Caller, **more: Any) -> None:
        """Write who asked for what and what came of it, without a variable or an address."""
        if self._options.log_requests:
            self._write(
                event=event,
                endpoint=self._options.name,
                caller=caller.log_name or caller.key,
                operation=(params.operation_name or "")[:64],
                **more,
            )

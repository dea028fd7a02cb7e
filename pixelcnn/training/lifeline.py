"""A rank that dies takes the others with it, at once and with a sentence that says how to go on.

Left alone, the others would wait for it in their next collective operation: for half an hour with NCCL, and with gloo
they fail in an error about a socket.
"""

import os
import secrets
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer

from pixelcnn.errors import UserError

LAUNCHER = "PIXELCNN_LAUNCHER"  # environment variable, a process id
MESSAGE = struct.Struct("!i")  # the rank that is lost, or GOODBYE
GOODBYE = -1
KEY_BYTES = 16
SECONDS_TO_CONNECT = 60
SECONDS_BETWEEN_LOOKS = 0.5  # at processes; Lightning, which kills rank 0 without a word, has five
SECONDS_TO_RAISE = 15  # for the main thread to come out of a collective operation; the logger is finished then
# A machine that is gone closes no connection; it is noticed after 10 + 3 x 10 seconds.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


class EndOnAllRanks(BaseException):
    """A kind of exception that all ranks have agreed to raise after the same batch: none of them has died."""


class EndSilently(EndOnAllRanks, SystemExit):
    """What ends the ranks that have nothing to say about it."""


class Lifeline(Callback):
    """Ends every rank within a minute when one of them dies, whatever it dies of and whatever the others are doing.

    Each rank keeps a connection to rank 0, which the system closes when a process ends. ``checkpoint`` is the file
    that rank 0's run is resumed from, named in the message.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self._peers: dict[socket.socket, int] = {}  # connection: rank at its other end
        self._is_connected = threading.Event()
        self._is_lost = threading.Event()
        self._closing = False

    def __getstate__(self) -> dict[str, Path]:
        return {"checkpoint": self.checkpoint}  # for strategies that pickle the trainer, before any connection

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @contextmanager
    def holding(self, trainer: Trainer) -> Iterator[None]:
        """Around ``trainer.fit``: with a rank lost, exit instead of raising what a collective operation says to it.

        Those that rank 0 has launched end after it, and it after them, be the ranks connected yet or not.
        """
        try:
            with self._with_its_launcher(trainer):
                yield
        except RuntimeError as error:
            if self._peers and self._is_lost.wait(timeout=2):
                raise SystemExit(1) from error
            raise

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size == 1:
            return
        if trainer.is_global_zero:
            # Any address of the machine, IPv4 or IPv6; who connects has to know the key.
            dual = socket.has_dualstack_ipv6()
            family = socket.AF_INET6 if dual else socket.AF_INET
            with socket.create_server(("", 0), family=family, dualstack_ipv6=dual) as server:
                key = secrets.token_bytes(KEY_BYTES)
                trainer.strategy.broadcast((server.getsockname()[1], key, self.checkpoint))
                self._peers = _accept(server, key, trainer.world_size - 1)
        else:
            port, key, self.checkpoint = trainer.strategy.broadcast((0, b"", self.checkpoint))
            connection = socket.create_connection((os.environ["MASTER_ADDR"], port), SECONDS_TO_CONNECT)
            connection.sendall(key + MESSAGE.pack(trainer.global_rank))
            self._peers = {connection: 0}
        for connection in self._peers:
            connection.settimeout(None)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in KEEPALIVE.items():
                if hasattr(socket, name):  # not all systems can choose
                    connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()
        self._is_connected.set()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, EndOnAllRanks):
            self._close()
        elif isinstance(exception, UserError):
            self._closing = True  # others may refuse as well, and end sooner; those that do not are told when this ends

    def _close(self) -> None:
        self._closing = True
        self._tell(GOODBYE)
        for connection in self._peers:
            connection.close()
        self._peers = {}

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for connection, rank in self._peers.items():
                selector.register(connection, selectors.EVENT_READ, rank)
            while selector.get_map() and not self._closing:
                for key, _ in selector.select(timeout=1):
                    told = _received(key.fileobj)  # type: ignore[arg-type]
                    if self._closing:
                        return
                    if told != GOODBYE:
                        self._end(key.data if told is None else told)
                        return
                    selector.unregister(key.fileobj)

    def _end(self, rank: int) -> None:
        # At once: within five seconds of a child's death Lightning kills the process that has launched it.
        print(self._sentence(rank), file=sys.stderr, flush=True)
        self._tell(rank)
        self._is_lost.set()
        time.sleep(SECONDS_TO_RAISE)
        os._exit(1)

    @contextmanager
    def _with_its_launcher(self, trainer: Trainer) -> Iterator[None]:
        """Tell the processes that this one launches who it is; in one of those, end soon after the launcher."""
        launcher = os.environ.get(LAUNCHER)
        if launcher is not None:
            threading.Thread(target=self._watch_launcher, args=(int(launcher),), name="launcher", daemon=True).start()
            yield
            return
        os.environ[LAUNCHER] = str(os.getpid())
        has_ended = threading.Event()
        threading.Thread(target=self._watch_launched, args=(trainer, has_ended), name="launched", daemon=True).start()
        try:
            yield
        finally:
            has_ended.set()
            del os.environ[LAUNCHER]

    def _watch_launcher(self, launcher: int) -> None:
        while os.getppid() == launcher:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        if not self._is_connected.is_set():
            print(self._sentence(0), file=sys.stderr, flush=True)
            os._exit(1)
        time.sleep(SECONDS_TO_RAISE)  # when it has ended as it should, this one is about to
        os._exit(1)

    def _watch_launched(self, trainer: Trainer, has_ended: threading.Event) -> None:
        """While the ranks start up: afterwards their connections tell more."""
        while not self._is_connected.is_set() and not has_ended.wait(SECONDS_BETWEEN_LOOKS):
            launched = getattr(trainer.strategy.launcher, "procs", [])
            for rank, process in enumerate(launched, start=1):
                if process.poll() not in (None, 0) and not self._is_connected.is_set():
                    print(self._sentence(rank), file=sys.stderr, flush=True)
                    for other in launched:
                        other.kill()
                    os._exit(1)

    def _tell(self, message: int) -> None:
        for connection in list(self._peers):
            try:
                connection.sendall(MESSAGE.pack(message))
            except OSError:  # the rank at the other end has gone before
                continue

    def _sentence(self, rank: int) -> str:
        remedy = (
            f"resume it with checkpoint={self.checkpoint}"
            if self.checkpoint.exists()
            else "it had not saved a checkpoint yet, start it again"
        )
        return f"Rank {rank} has died, which ends the run on all ranks: {remedy}."


def _accept(server: socket.socket, key: bytes, count: int) -> dict[socket.socket, int]:
    server.settimeout(SECONDS_TO_CONNECT)
    peers: dict[socket.socket, int] = {}
    while len(peers) < count:
        connection, _ = server.accept()
        connection.settimeout(SECONDS_TO_CONNECT)
        greeting = connection.recv(KEY_BYTES + MESSAGE.size, socket.MSG_WAITALL)
        if len(greeting) == KEY_BYTES + MESSAGE.size and secrets.compare_digest(greeting[:KEY_BYTES], key):
            peers[connection] = MESSAGE.unpack(greeting[KEY_BYTES:])[0]
        else:
            connection.close()
    return peers


def _received(connection: socket.socket) -> int | None:
    """What the other end says; None when it has ended without a word."""
    try:
        message = connection.recv(MESSAGE.size, socket.MSG_WAITALL)
    except OSError:
        return None
    return MESSAGE.unpack(message)[0] if len(message) == MESSAGE.size else None

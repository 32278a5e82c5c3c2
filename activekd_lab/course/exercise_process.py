"""The other side of grading: `python -I -S` with nothing but the library, forked once for each exercise.

The first process never sees a learner's code. It waits for "run" with one end of a socket, and forks a child which
encloses itself, makes the learner's function, and answers calls with plain values (see `messages`). It is asked to kill
children by their number. A child can write what it likes into its socket: it can only give answers, and the checks that
judge them run elsewhere.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from activekd_lab.course import messages
from activekd_lab.course.answers import FUNCTION, Piece
from activekd_lab.course.enclosure import enclose


def main(number: int) -> None:
    """Serve the grader on the socket with this file number, until it is gone."""
    import torch  # noqa: PLC0415  (its import shall not count as the learner's time)

    import activekd_lab.course.checks.base  # noqa: PLC0415  (the same)
    import activekd_lab.selectors  # noqa: F401, PLC0415  (the same)

    torch.set_num_threads(1)
    control, children = socket.socket(fileno=number), set[int]()
    control.send(b"ready")
    while True:
        order, handles, *_ = socket.recv_fds(control, 64, 1)
        if not order:  # the grader is gone
            for child in children:
                os.kill(child, signal.SIGKILL)
            os._exit(0)
        if order == b"run":
            if (child := os.fork()) == 0:
                control.close()
                _live(socket.socket(fileno=handles[0]))
            os.close(handles[0])
            children.add(child)
            control.send(str(child).encode())
        else:
            child = int(order)
            os.kill(child, signal.SIGKILL)
            children.remove(child)
            control.send(str(os.waitpid(child, 0)[1]).encode())


def _live(line: socket.socket) -> None:
    """Be a child: one exercise, and the end of this process."""
    try:
        with line.makefile("rwb") as file:
            _answer(file)
    finally:
        os._exit(0)


def _answer(file: Any) -> None:
    def say(**message: Any) -> None:
        file.write(messages.dump(message))
        file.flush()

    order = messages.load(file.readline())
    pieces = [Piece(*piece) for piece in order["pieces"]]
    silence = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(silence, standard)
    sys.stdin = sys.stdout = sys.stderr = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115  (for good)
    os.chdir(order["home"])
    os.setsid()
    missing, tried = enclose(order["readable"], memory=order["memory"], seconds=order["seconds"])
    say(missing=missing)
    function, fault = make(pieces)
    say(fault=fault, tried=tried)
    for line in file:
        call = messages.load(line)
        say(id=call["id"], tried=tried, **_call(function, call, _asker(file, say)))


def _asker(file: Any, say: Callable[..., None]) -> messages.Ask:
    """Return what turns the number of a function of the check into one that asks the check for its answers."""

    def ask(number: int) -> Callable[..., Any]:
        def proxy(*arguments: Any) -> Any:
            say(ask=number, arguments=messages.encode(list(arguments)))
            answer = messages.load(file.readline())
            if "failed" in answer:
                raise ValueError(answer["failed"])
            return messages.decode(answer["value"])

        return proxy

    return ask


def _call(function: Callable[..., Any], call: dict[str, Any], ask: messages.Ask) -> dict[str, Any]:
    """Return what a call gave, as a message."""
    from activekd_lab.course.checks.base import explain  # noqa: PLC0415  (the learner's code may have failed before)

    try:
        arguments, keywords = messages.decode(call["arguments"], ask), messages.decode(call["keywords"], ask)
        found = function(*arguments, **keywords)
    except NotImplementedError:
        return {"todo": True}
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        return {"raised": explain(function, error)[:2000]}
    try:
        after = [messages.encode(arguments, []), messages.encode(keywords, [])]
        changed = json.dumps(after) != json.dumps([call["arguments"], call["keywords"]])
        messages.dump(answer := {"value": messages.encode(found), "changed": changed})
    except (ValueError, RuntimeError) as error:
        return {"raised": f"What the function returned cannot be sent: {error}"[:2000]}
    return answer


def make(pieces: list[Piece]) -> tuple[Any, str | None]:
    """Return the function that a learner's statements leave, or None and what went wrong.

    A statement of another cell that fails is missed only by those who need it.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", "get_ipython": _Silent}
    for piece in pieces:
        piece.show_in_tracebacks()
        for node in piece.statements():
            code = compile(ast.Module([node], []), piece.file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            try:
                exec(code, namespace)
            except (Exception, SystemExit) as error:
                if piece.own and not isinstance(node, ast.Expr):
                    message = (
                        f"The cell itself raised {type(error).__name__}: {error}. It has to run with no more than "
                    )
                    return None, message[:2000] + "the notebook's imports, definitions and constants."
    found = namespace.get(FUNCTION)
    return (found, None) if callable(found) else (None, f"A function is expected, but got {type(found).__name__}.")


class _Silent:
    """What magics and shell commands are turned into: they do nothing here."""

    def __getattr__(self, name: str) -> Callable[..., list[Any]]:
        return lambda *arguments, **keywords: []


if __name__ == "__main__":
    main(int(sys.argv[1]))

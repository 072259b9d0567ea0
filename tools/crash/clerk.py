"""A demo agent: a clerk with a scripted model, real files, and three tools, of which one sends payments.

It reads each bill of its folder, notes it, pays it, and reports. Killed at any moment and started again it
goes on where it was, and pays no bill twice: what it did is on record; what it cannot know, it asks the bank.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal

from journal import LiveSession, StateStore

SESSION: Final = "clerk"
Durability = Literal["disk", "os"]


class Office:
    """The files that the clerk works with, and the bank, which remembers every payment that reached it."""

    def __init__(self, folder: Path) -> None:
        self.bills, self.notes, self.bank = folder / "bills", folder / "notes", folder / "bank.log"

    def open(self, bills: int) -> None:
        """Put so many bills there."""
        self.bills.mkdir(parents=True)
        self.notes.mkdir()
        for number in range(bills):
            bill = {"reference": f"bill-{number}", "amount": 10 + number}
            (self.bills / f"{number}.json").write_text(json.dumps(bill))

    def payments(self) -> list[str]:
        """The references of all payments, in the order in which they came."""
        return self.bank.read_text().split() if self.bank.exists() else []

    # The tools

    def read_bill(self, name: str) -> dict[str, Any]:
        """What a bill says."""
        found: dict[str, Any] = json.loads((self.bills / name).read_text())
        return found

    def write_note(self, reference: str, text: str) -> str:
        """Keep a note of a bill."""
        path = self.notes / f"{reference}.txt"
        path.write_text(text)
        return path.name

    def send_payment(self, reference: str, amount: int) -> dict[str, Any]:
        """Pay. Whoever calls it twice pays twice."""
        with self.bank.open("a") as bank:
            bank.write(f"{reference}\n")
            bank.flush()
            os.fsync(bank.fileno())
        return {"paid": amount}


def model(step: int, bill: str, seen: list[Any]) -> dict[str, Any]:
    """The scripted model: which tool comes next, from what the tools before it gave."""
    if step == 0:
        return {"tool": "read_bill", "arguments": {"name": bill}}
    reference = seen[0]["reference"]
    if step == 1:
        text = f"{reference}: {seen[0]['amount']}"
        return {"tool": "write_note", "arguments": {"reference": reference, "text": text}}
    if step == 2:
        return {"tool": "send_payment", "arguments": {"reference": reference, "amount": seen[0]["amount"]}}
    return {"answer": f"{reference} is paid: {seen[2]['paid']}."}


def work(
    tell: Callable[[Any], None],
    base: Path,
    durability: Durability = "disk",
    knows_the_bank: bool = True,
    make_office: Callable[[Path], Office] = Office,
) -> None:
    """Handle all bills; to be called again after a crash. `knows_the_bank`: else it pays what may be paid."""
    office = make_office(base)
    with (
        StateStore(base / "state", durability=durability, actor="agent:clerk") as store,
        store.open_session(SESSION, user_id="ada", on_unknown="retry") as live,
    ):
        if knows_the_bank:
            settle_payments(live, office)
        for name in sorted(os.listdir(office.bills)):
            handle(live, office, name)
            tell(name)
    tell(None)


def settle_payments(live: LiveSession, office: Office) -> None:
    """Payments that may have been made nobody may simply try again: those that the bank knows have been."""
    for call in live.unfinished():
        given: Any = call.arguments
        if call.name == "send_payment" and given["reference"] in office.payments():
            live.settle(call.call_id, {"paid": given["amount"]})


def handle(live: LiveSession, office: Office, bill: str) -> None:
    """One turn: from the user's message to the answer."""
    live.add_user_message(f"Please see to {bill}.", key=f"{bill}/ask")
    seen: list[Any] = []
    for step in range(4):
        reply = live.step("model", model, step, bill, seen)
        if "answer" in reply:
            live.add_agent_response(reply["answer"], key=f"{bill}/answer")
        else:
            tool = getattr(office, reply["tool"])
            seen.append(live.run_tool(reply["tool"], tool, reply["arguments"], call_id=f"{bill}/{step}"))

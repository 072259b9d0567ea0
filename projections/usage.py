"""Usage: what a session spent, by model."""

from dataclasses import dataclass, field

from projections.events import Record, SessionForked, UsageRecorded


@dataclass(slots=True)
class Spent:
    """So many calls, and the tokens that went in and came out. `cost` is None where none was given."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None

    def add(self, other: "Spent") -> None:
        """So much more."""
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        if other.cost is not None:
            self.cost = (self.cost or 0) + other.cost


@dataclass(slots=True)
class Spending:
    """What was spent, by model, in the order in which they were first used."""

    models: dict[str, Spent] = field(default_factory=dict)
    _copied: int = 0  # up to which version a fork holds records of its origin

    @property
    def total(self) -> Spent:
        """All models together."""
        total = Spent()
        for spent in self.models.values():
            total.add(spent)
        return total

    def add(self, other: "Spending") -> None:
        """What another session spent, too."""
        for model, spent in other.models.items():
            self.models.setdefault(model, Spent()).add(spent)


class Usage:
    """The fold that adds up what was spent, rewound or not.

    What a fork copied its origin spent, and there it counts: so the sum over sessions is what was paid.
    """

    name = "usage"
    version = 1

    def initial(self) -> Spending:
        """Nothing was spent yet."""
        return Spending()

    def apply(self, state: Spending, record: Record) -> Spending:
        """What was spent after one more record."""
        match record.event:
            case UsageRecorded(model=model, input_tokens=into, output_tokens=out, cost=cost):
                if record.seq > state._copied:
                    state.models.setdefault(model, Spent()).add(Spent(1, into, out, cost))
            case SessionForked(version=version):
                state._copied = version
            case _:
                pass
        return state

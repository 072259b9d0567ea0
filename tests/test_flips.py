"""The campaign of flipped bits: it finds nothing wrong, and each check that the engine goes without."""

import inspect

import pytest
from crash import flips
from crash.campaign import Campaign
from crash.flippable import made_up, snapshot_at

from journal import chain, reader, verify


def broken(folder, what="journal"):
    """What the checker has to say of every seventh bit of a made-up journal, or of a snapshot of it."""
    subject = made_up()[1]
    data = subject.data if what == "journal" else snapshot_at(subject, subject.batches[-2])
    return flips.flip(flips.Job(what, subject, range(1, 8 * len(data), 7), 8 * len(data), folder)).breaches


def test_every_flipped_bit_of_a_made_up_journal_is_noticed(tmp_path):
    """All bits of two journals and of a snapshot; what could pass for a torn tail is no JSON."""
    campaign = Campaign(seed=1, count=flips.SHORT, seconds=600, folder=tmp_path)
    flips.run(campaign)

    figures = campaign.figures
    journals = made_up()
    assert campaign.breaches == []
    assert figures["bits of journals flipped"] == sum(8 * len(each.data) for each in journals)
    assert figures["not noticed by a reader: in the `was` of an erased record; verify finds it"] <= 8 * len(
        "user_message_added"
    )
    assert figures["bits of a snapshot flipped"] > 5_000


def checking_less(monkeypatch, before, after):
    """Reading goes without a part of its check of each line."""
    source = inspect.getsource(chain.check_lines)
    assert source.count(before) == 1
    names = dict(vars(chain))
    exec(source.replace(before, after), names)
    monkeypatch.setattr(reader, "check_lines", names["check_lines"])


def no_digest_is_checked(monkeypatch):
    checking_less(monkeypatch, "texts[44:87] != header[-44:-1]", "False")


def no_chain_is_checked(monkeypatch):
    checking_less(monkeypatch, "text != line[at + 10 : at + 53]", "False")


def no_place_of_the_salt_is_checked(monkeypatch):
    checking_less(monkeypatch, "and line[at + 53 : at + 63] == _SALT", "")


def an_erased_record_may_stand_anywhere(monkeypatch):
    def check(line, at, seq, previous):
        if b'"salt":null' not in line:
            raise chain._diagnose(line, seq)
        return line[at + 10 : at + 53]

    monkeypatch.setattr(chain, "_check_erased", check)


def all_damage_is_a_torn_tail(monkeypatch):
    monkeypatch.setattr(reader.Reader, "_lines_from", lambda self, offset: ())


def what_is_altered_at_the_end_is_a_torn_tail(monkeypatch):
    real = chain._diagnose
    monkeypatch.setattr(
        chain, "_diagnose", lambda line, seq: chain.Damage(real(line, seq).reason, altered=False)
    )


@pytest.mark.parametrize(
    "break_it",
    [
        no_digest_is_checked,
        no_chain_is_checked,
        no_place_of_the_salt_is_checked,
        an_erased_record_may_stand_anywhere,
        all_damage_is_a_torn_tail,
        what_is_altered_at_the_end_is_a_torn_tail,
    ],
)
def test_a_reader_that_checks_less_is_noticed(monkeypatch, tmp_path, break_it):
    """Each part of the check is there for some bit."""
    break_it(monkeypatch)

    assert broken(tmp_path) != []


def test_a_snapshot_that_is_not_compared_is_noticed(monkeypatch, tmp_path):
    """A load believes it; only verifying tells."""
    monkeypatch.setattr(verify, "is_same", lambda one, other: True)

    assert broken(tmp_path, "snapshot") != []

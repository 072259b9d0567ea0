"""What can be taken out of a replica: every look, lock and note that keeps it in step with its backend."""

from crash.mutations import Mutation, of

MUTATIONS: list[Mutation] = [
    *of(
        "journal/replica/journals.py",
        (
            "replacing all behind a cut",
            "        if session_id in self._cut:\n            self._commit",
            "        if False:\n            self._commit",
        ),
        (
            "fetching all before a cut",
            "        self.fill(session_id)\n        self._cut.add",
            "        self._cut.add",
        ),
        (
            "fetching anew what is not as it was left",
            "            if self._is_off(session_id):\n                self.forget(session_id)\n",
            "",
        ),
        (
            "the same where all are fetched",
            "return session_id in self.stale or (session_id in self._places and self._is_off(session_id))",
            "return session_id in self.stale",
        ),
        (
            "the same before a write",
            "        elif end != self._sizes.get(session_id, 0):\n"
            "            self.forget(session_id)  # whoever looked at it saw something else\n"
            "            raise Overtaken\n",
            "",
        ),
        (
            "looking where a change that was heard is not the next one",
            "            if change.after != place or self._may_lack(session_id):\n",
            "            if self._may_lack(session_id):\n",
        ),
        (
            "passing over what is here already",
            "            if change.place <= place:\n                continue\n",
            "",
        ),
        (
            "passing over what was heard already",
            "            if change.place <= place:\n                return None\n",
            "",
        ),
        (
            "the mark of what others wrote",
            "            if place == before:\n                self._marks.mark(session_id)\n",
            "",
        ),
        (
            "telling that files may be void",
            "            self._is_void()\n",
            "",
        ),
        (
            "removing what was replaced elsewhere",
            "            if is_session_id(session_id):\n                self._remove_here(session_id)\n",
            "",
        ),
        (
            "making readers of a file that goes look at the path",
            "            os.truncate(journal, os.lstat(journal).st_size + 1)  # see Log.retract\n",
            "            pass\n",
        ),
        (
            "giving a file to what came into the spool late",
            "        if self._opens_all:\n            self.unspool(session_id)\n",
            "",
        ),
        (
            "the deletions before a long session",
            "            self._note_deletions_in(first)\n",
            "",
        ),
        (
            "the hole of a long session",
            "        self.holes[session_id] = begun.offset\n",
            "",
        ),
        (
            "reading on behind a snapshot",
            "        self._places[session_id] = begun.place\n        self._read_on(session_id)\n",
            "        self._places[session_id] = begun.place\n",
        ),
        (
            "beginning at the beginning for a follower",
            "        may_begin_late = not self._places.get(session_id) and not self.is_followed\n",
            "        may_begin_late = not self._places.get(session_id)\n",
        ),
        (
            "telling that a session was rewritten while it was fetched",
            "            if is_replaced or at < end:\n",
            "            if False:\n",
        ),
        (
            "noting that somebody was faster",
            "        except Moved:\n            self.stale.add(session_id)\n",
            "        except Moved:\n",
        ),
        (
            "noting that nobody knows",
            "        except Unclear as error:\n            self.stale.add(session_id)\n",
            "        except Unclear as error:\n",
        ),
        (
            "comparing what is behind the place with what was to be written",
            "                    if (first.kind, first.data) != (kind, data):\n"
            "                        raise Overtaken\n",
            "",
        ),
        (
            "finding one's own lines in a replacement",
            '                    if kind == "append" and first.kind == "replace" and data in '
            "first.data:\n"
            "                        return",
            "                    if False:\n                        return",
        ),
        (
            "removing a snapshot once more behind a replacement",
            '            self._commit_or_forget(session_id, "replace", data)\n'
            "            self._snapshots.remove_later(session_id)\n",
            '            self._commit_or_forget(session_id, "replace", data)\n',
        ),
        (
            "the earlier tombstones of a deletion",
            '            tombstones = self._tombstones.get(session_id, b"") + tombstone\n',
            "            tombstones = tombstone\n",
        ),
    ),
    *of(
        "journal/replica/disk.py",
        (
            "filling a hole before it is read",
            "            if offset < self._journals.holes.get(session_id, 0):\n"
            "                self._journals.fill(session_id)\n",
            "            pass\n",
        ),
        (
            "the lock of a session",
            "            if not self._journals.lock_of(session_id).acquire(not operation & LOCK_NB):\n"
            "                raise BlockingIOError\n",
            "            self._journals.lock_of(session_id).acquire(False)\n",
        ),
        (
            "forgetting a note of a deletion that was not",
            "            self._noted.pop(session_id, None)  # of a deletion that did not come to pass\n",
            "",
        ),
        (
            "looking each second",
            "                    if time.monotonic() >= look_at:\n",
            "                    if False:\n",
        ),
        (
            "looking when one begins to listen",
            "                self._look_for(session_id)\n"
            "                if session_id is None:\n"
            "                    journals.open_all",
            "                if session_id is None:\n                    journals.open_all",
        ),
        (
            "sharing what takes the place of a document",
            "            self._files.share(path, name)\n        os.rename",
            "            pass\n        os.rename",
        ),
        (
            "sharing what is quarantined",
            "        if (path := self._kept.get(fd)) is not None:\n            self._files.share(path)\n",
            "",
        ),
        (
            "removing the shared snapshot first",
            "                self._journals.remove_snapshot(session_id)\n            os.unlink",
            "                pass\n            os.unlink",
        ),
        (
            "leaving the connection to the process that made it",
            "        if not self._asking.is_anothers:",
            "        if True:",
        ),
    ),
    *of(
        "journal/replica/snapshots.py",
        (
            "looking whether a shared snapshot is current",
            "            is_current = await self._backend.journals.head(session_id) == place\n",
            "            is_current = True\n",
        ),
        (
            "comparing a snapshot's end with the journal's",
            "or marker is None or not (tail.endswith(change) or change.endswith(tail)):",
            "or marker is None:",
        ),
    ),
    *of(
        "journal/replica/files.py",
        (
            "cutting off what was half written",
            "        os.ftruncate(fd, end)\n        raise\n",
            "        raise\n",
        ),
        (
            "leaving what is about to be put in its place",
            ' and entry.name[0] != ".":\n                with contextlib.suppress(FileNotFoundError):',
            ":\n                with contextlib.suppress(FileNotFoundError):",
        ),
        (
            "the same of attachments",
            '            if entry.name[0] != ".":  # else somebody is about to put it in its place\n',
            "            if True:\n",
        ),
    ),
    *of(
        "journal/replica/folder.py",
        (
            "leaving the folders of those who live",
            "            PLAIN.flock(lock, LOCK_EX | LOCK_NB)\n            shutil",
            "            shutil",
        ),
        (
            "leaving young folders alone",
            "        if status.st_mtime > time.time() - _YOUNG_SECONDS:\n            continue\n",
            "",
        ),
        (
            "leaving a parent's folder alone",
            "    if os.getpid() == process:  # and not one that was forked from it\n",
            "    if True:\n",
        ),
    ),
]

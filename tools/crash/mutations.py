"""What can be taken out of the engine: every sync, lock, check and rename that a promise rests on."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A piece of the engine, and the engine without it. `before` stands once in the file."""

    what: str
    path: str
    before: str
    after: str


def of(path: str, *mutations: tuple[str, str, str]) -> list[Mutation]:
    """The mutations of a file."""
    return [Mutation(what, path, before, after) for what, before, after in mutations]


MUTATIONS: list[Mutation] = [
    *of(
        "journal/log.py",
        (
            "the sync of a save",
            "                self.disk.sync(self.fd)\n                disks.sync_names",
            "                disks.sync_names",
        ),
        (
            "the sync of a journal's name",
            "                disks.sync_names(self.disk, self.path, self._inode)\n",
            "",
        ),
        ("waiting for the sync", "            if not self.defers:\n                self.sync()\n", ""),
        (
            "syncing first what others wrote",
            "if self.durable and (self._is_unsure or not self.is_synced):",
            "if False:",
        ),
        (
            "not trusting what others wrote since",
            "            self._is_unsure = True\n",
            "            pass\n",
        ),
        ("not trusting what stood in the file", "        self._is_unsure = status.st_size > 0\n", ""),
        (
            "syncing at the close what waits for it",
            "            if not self.is_synced:\n                with",
            "            if False:\n                with",
        ),
        (
            "one sync at a time",
            "        with self._sync_mutex:\n            self._check_alive()",
            "        if True:\n            self._check_alive()",
        ),
        (
            "going on after a short write",
            "                disks.write_whole(self.disk, fd, data[written:])\n",
            "                pass\n",
        ),
        (
            "cutting a failed write off",
            "            self.disk.truncate(self.fd, offset)\n            if",
            "            if",
        ),
        (
            "the sync of that cut",
            "                self.disk.sync(self.fd)\n        except OSError as second",
            "                pass\n        except OSError as second",
        ),
        (
            "cutting off what a failed sync left",
            "                    self.disk.truncate(fd, offset)\n",
            "                    pass\n",
        ),
        (
            "dropping from memory what a failed sync left",
            "                    self.disk.drop_cache(self.fd)\n",
            "                    pass\n",
        ),
        ("the end of a log whose sync failed", "        self.is_dead, self._reason = True, reason\n", ""),
        (
            "telling that an outcome is unknown",
            "raise DurabilityError(self.path, reason, outcome_unknown=True) from error\n\n    def cut",
            "raise DurabilityError(self.path, reason, outcome_unknown=False) from error\n\n    def cut",
        ),
        (
            "the copy of a torn tail",
            '        path = keep(self.disk, folder, f"{self.session_id}.{end}", self.fd, end)\n',
            "        path = folder\n",
        ),
        (
            "the cut of a torn tail",
            "        self.disk.truncate(self.fd, end)\n        self.disk.sync(self.fd)\n",
            "        self.disk.sync(self.fd)\n",
        ),
        (
            "the sync of the cut of a torn tail",
            "        self.disk.truncate(self.fd, end)\n        self.disk.sync(self.fd)\n",
            "        self.disk.truncate(self.fd, end)\n",
        ),
        ("telling others of a removal", "        if self.size():\n            self.retract()\n", ""),
        (
            "removing the empty file of a deletion once",
            "        self._is_new = False  # another process may create the next one from now on\n",
            "",
        ),
        (
            "the sync of a journal's removal",
            "        disks.remove_file(self.disk, self.path, durable=self.durable)\n",
            "        disks.remove_file(self.disk, self.path, durable=False)\n",
        ),
        (
            "telling others that a journal is replaced",
            "            if self.size():\n                self.retract()\n",
            "",
        ),
        ("telling others that a file goes", "        self.disk.truncate(self.fd, self.size() + 1)\n", ""),
        (
            "the lock of a writer",
            "                disk.flock(self.fd, LOCK_EX if wait else LOCK_EX | LOCK_NB)\n",
            "                pass\n",
        ),
        ("not waiting for a lock where that was asked", "LOCK_EX if wait else LOCK_EX | LOCK_NB", "LOCK_EX"),
        (
            "letting go of the lock of a file that is gone",
            "            self.disk.flock(self.fd, LOCK_UN)\n        self.close()",
            "            pass\n        self.close()",
        ),
        (
            "a reader's second look at damage",
            "        if isinstance(self.rest, CorruptRecordError) and not self._held:",
            "        if False:",
        ),
        ("the lock of that look", "            self.disk.flock(self.fd, LOCK_SH)\n", ""),
        (
            "comparing the path's file with the open one",
            "                if status.st_ino == self._inode:\n",
            "                if True:\n",
        ),
        (
            "the same for a reader",
            "        if self.fd is None or status.st_ino != self._inode:",
            "        if self.fd is None:",
        ),
        (
            "looking at the path of an empty file",
            "        if not self.durable and status.st_size:",
            "        if not self.durable:",
        ),
        (
            "looking at the path before each durable save",
            "        if not self.durable and status.st_size:",
            "        if status.st_size:",
        ),
        (
            "looking at the path again after a moment",
            "LOOK_AFTER_SECONDS: Final = 0.001",
            "LOOK_AFTER_SECONDS: Final = 1000.0",
        ),
        (
            "looking at the size",
            "if monotonic() < self._looked_until and disk.seek(self.fd, 0, os.SEEK_END) == self.offset:",
            "if monotonic() < self._looked_until:",
        ),
        (
            "checking that what was read is still there",
            "        if self._size != self.offset and not self.holds(self.position):",
            "        if False:",
        ),
        (
            "checking that a position's record is the one it names",
            '            line.startswith(b\'{"v":1,"seq":%d,"id":"\' % position.version)\n            and ',
            "            ",
        ),
        (
            "checking a position's chain",
            '            and b\',"chain":"%b","salt":\' % position.chain in line\n',
            "",
        ),
        (
            "appending only at the end that was read",
            '        assert offset == self._size, "append only at the end that was read"\n',
            "",
        ),
        (
            "refusing use after a fork",
            "        if self._fork_generation != disks.fork_generation:\n            raise",
            "        if False:\n            raise",
        ),
        ("refusing a batch that is too long", "        if len(data) > MAX_BATCH_BYTES:", "        if False:"),
        (
            "looking whether the folder is a link",
            "        disks.check_folders(self.disk, os.path.dirname(folder), folder)\n",
            "        pass\n",
        ),
        (
            "removing the empty file of a save that failed",
            "            disks.remove_file(self.disk, self.path, durable=False)\n",
            "            pass\n",
        ),
    ),
    *of(
        "journal/shared_file.py",
        (
            "the mutex of a writer",
            "        if not log.mutex.acquire(self._wait):\n            raise Busy\n",
            "        log.mutex = threading.RLock()\n        log.mutex.acquire()\n",
        ),
        (
            "unlocking after a save",
            "            try:\n                log.disk.flock(log.fd, LOCK_UN)\n            except OSError:",
            "            try:\n                pass\n            except OSError:",
        ),
        (
            "unlocking after an error",
            "            if log._held == 0 and log.fd is not None:\n                log.disk.flock(log.fd, LOCK_UN)\n",
            "            pass\n",
        ),
        (
            "closing a file that nobody needs any more",
            "        if log.is_retired and not log._users and not log._held:\n            log.close()\n        log.mutex",
            "        log.mutex",
        ),
    ),
    *of(
        "journal/disk.py",
        ("the sync before a rename", "            if durable:\n                disk.sync(fd)\n", ""),
        (
            "the rename",
            "        disk.rename(temporary, path)\n",
            "        for piece in (read_file(disk, temporary) or b'',):\n            there = disk.open(path, write=True, create=True)\n            disk.truncate(there, 0)\n            write_whole(disk, there, piece)\n            disk.close(there)\n        disk.unlink(temporary)\n",
        ),
        (
            "the sync of the folder after a rename",
            "    if durable:\n        disk.sync_folder(folder)\n        sync_names(disk, folder)\n",
            "    if durable:\n        sync_names(disk, folder)\n",
        ),
        (
            "the sync of a replaced file's folders",
            "        disk.sync_folder(folder)\n        sync_names(disk, folder)\n",
            "        disk.sync_folder(folder)\n",
        ),
        (
            "removing a temporary file that failed",
            "        with contextlib.suppress(OSError):\n            disk.unlink(temporary)\n        raise",
            "        raise",
        ),
        (
            "the sync of a removal",
            "        with contextlib.suppress(FileNotFoundError):\n            disk.sync_folder(os.path.dirname(path))\n",
            "        pass\n",
        ),
        ("unpredictable temporary names", "{secrets.token_hex(8)}", "{'0' * 16}"),
        (
            "sweeping only what is stale",
            "        and entry.status.st_mtime < time.time() - STALE_AFTER_SECONDS\n",
            "",
        ),
        ("sweeping at all", "            disk.unlink(entry.path)\n", "            pass\n"),
        (
            "refusing a link in a file's place",
            " | os.O_NOFOLLOW | os.O_NONBLOCK\n        flags |= os.O_RDWR",
            " | os.O_NONBLOCK\n        flags |= os.O_RDWR",
        ),
        (
            "not waiting for a pipe",
            "        flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK\n        flags |= os.O_RDWR",
            "        flags = os.O_CLOEXEC | os.O_NOFOLLOW\n        flags |= os.O_RDWR",
        ),
        ("files for their owner alone", "FILE_MODE = 0o600", "FILE_MODE = 0o644"),
        ("folders for their owner alone", "FOLDER_MODE = 0o700", "FOLDER_MODE = 0o755"),
        (
            "looking whether a folder is a link",
            "    if stat.S_ISLNK(status.st_mode):\n        raise UnsafePathError(path, _LINK)\n    if not stat.S_ISDIR(status.st_mode):",
            "    if False:",
        ),
        (
            "the sync of a name's folder",
            "            disk.sync_folder(folder)\n        except",
            "            pass\n        except",
        ),
        (
            "trusting a name only when those above it are synced",
            "        synced.append((path, inode))\n        path, inode = folder, 0\n",
            "        disk.durable_names.add((path, inode))\n        path, inode = folder, 0\n",
        ),
        (
            "refusing what is no plain file",
            "        if not stat.S_ISREG(os.fstat(fd).st_mode):",
            "        if False:",
        ),
        (
            "closing what cannot be used",
            "    except BaseException:\n        os.close(fd)\n        raise\n    return fd",
            "    except BaseException:\n        raise\n    return fd",
        ),
        (
            "reading no more than a file may hold",
            "        while offset <= MAX_WHOLE_BYTES >= size:",
            "        while True:",
        ),
        ("noting a fork", "    fork_generation += 1\n", "    fork_generation += 0\n"),
    ),
    *of(
        "journal/quarantine.py",
        (
            "looking whether the quarantine is a link",
            "    disks.check_folders(disk, os.path.dirname(os.path.dirname(folder)), folder)\n",
            "",
        ),
        ("the sync of what is kept", "        disk.sync(copy)\n", ""),
        ("the sync of the name of what is kept", "    disks.sync_names(disk, path)\n", ""),
    ),
    *of(
        "journal/tombstones.py",
        ("the lock of the tombstones", "        disk.flock(fd, LOCK_EX)\n", ""),
        ("letting go of it", "        disk.flock(fd, LOCK_UN)\n", ""),
        ("the sync of a tombstone", "            disk.sync(fd)\n", ""),
        (
            "the sync of the tombstones' name",
            "                disks.sync_names(disk, path, disk.status_of(fd).st_ino)\n",
            "",
        ),
        (
            "cutting a tombstone off whose sync failed",
            "                disk.truncate(fd, size)\n",
            "                pass\n",
        ),
        ("dropping it from memory", "                disk.drop_cache(fd)\n", ""),
        ("a line of its own behind half a tombstone", '(b"\\n" if torn else b"") + ', ""),
    ),
    *of(
        "journal/handle.py",
        (
            "comparing the expected version of an append",
            "            if expected != ANY and (expected not in known or is_new):\n",
            "            if False:\n",
        ),
        (
            "comparing the expected version of a save",
            "            if (is_another or expected not in known) and expected != ANY:",
            "            if is_another and expected != ANY:",
        ),
        (
            "telling a session from another one of the same version",
            " and known.get(base, chain) != chain\n",
            " and False\n",
        ),
        (
            "telling a new session from another program's",
            "(chain is not None or self._adopting is not None)",
            "(chain is not None)",
        ),
        ("telling a new batch from another program's", " or is_new):\n", "):\n"),
        (
            "accepting who saw the version before a repair",
            "            known[repairs.version] = repairs.chain\n",
            "            pass\n",
        ),
        (
            "comparing the owner",
            "            if state.user_id != session.user_id and state.id:\n",
            "            if False:\n",
        ),
        (
            "looking for an earlier try of an append",
            "            if (key or retried_id) and batch:\n",
            "            if False:\n",
        ),
        (
            "looking for an earlier try of a save",
            "            if retried_id and session.version < version:\n",
            "            if False:\n",
        ),
        (
            "the sync of an append that was found",
            "                    self.log.settle()  # whoever wrote it may not have come to that\n",
            "",
        ),
        ("the sync of a save that was found", "                    log.settle()\n", ""),
        (
            "looking past the record of a repair",
            "            if not found and said.id != id and event_bytes(line).startswith(_HOUSEKEEPING):\n",
            "            if False:\n",
        ),
        (
            "comparing the content of an earlier try",
            "        if (key and len(found) != len(batch)) or found[:records] != [raw for raw, _, _ in batch[:records]]:\n",
            "        if False:\n",
        ),
        (
            "refusing to write behind damage",
            "                raise log.rest\n            self._repair_tail",
            "                return state, seen, seen_chain\n            self._repair_tail",
        ),
        ("the record of a repair", "        if state.version:  # else", "        if False:  # else"),
        (
            "the mark before a change",
            "            self._setting.mark(self.session_id)\n        except",
            "            pass\n        except",
        ),
        (
            "the tombstone of a deletion",
            "                if is_there:\n                    add_tombstone",
            "                if False:\n                    add_tombstone",
        ),
        (
            "no tombstone for what never was a session",
            "                if is_there:\n                    add_tombstone",
            "                if True:\n                    add_tombstone",
        ),
        (
            "the snapshot's going before the journal",
            "                disks.remove_file(setting.disk, self._snapshot_path, durable=setting.durable)\n"
            "                log.remove()\n",
            "                log.remove()\n"
            "                disks.remove_file(setting.disk, self._snapshot_path, durable=setting.durable)\n",
        ),
        (
            "the sync of a deletion that found nothing",
            "                disks.remove_file(setting.disk, log.path, durable=setting.durable)  # for good, too\n",
            "",
        ),
        (
            "the sync of a deletion that found an empty journal",
            "                log.remove()  # whoever deleted it may not have come to that\n",
            "",
        ),
        (
            "looking what stands in the place of what is deleted",
            "                disks.check_file(setting.disk, path)\n",
            "                pass\n",
        ),
        ("keeping a file whose text no record can hold", "            self._keep_snapshot()\n", ""),
        (
            "the lock of a deletion",
            "        with log.exclusive:\n            if not log.size() and",
            "        with log.using:\n            log._open(create=False)\n            if not log.size() and",
        ),
        (
            "noticing that a journal was replaced while its session was lent",
            " and self.log.incarnation == incarnation:\n",
            ":\n",
        ),
        (
            "throwing the state away when a write fails",
            "        # From here on the state is ahead of the journal; `_write` makes it the handle's again.\n        self._state = None\n",
            "",
        ),
        (
            "a session's first event saying whose it is",
            "            if not state.id and not isinstance(changes[0].event, _FIRST_EVENTS):\n",
            "            if False:\n",
        ),
    ),
    *of(
        "journal/folded.py",
        ("comparing a snapshot's fold", "            and snapshot.marker.fold == FOLD\n", ""),
        ("comparing a snapshot's session", "            and snapshot.session.id == self.session_id\n", ""),
        (
            "comparing a snapshot's place in the journal",
            "            if self.log.holds(position):\n",
            "            if True:\n",
        ),
        (
            "keeping another program's snapshot",
            "            if there is not None and self._is_in_the_way(there):\n",
            "            if False:\n",
        ),
        (
            "the sync of the journal before another program's file goes",
            "            self.log.sync(anyway=True)\n",
            "            pass\n",
        ),
        (
            "the sync of what takes the place of another program's file",
            "        durable = self._setting.durable or self._is_anothers\n",
            "        durable = self._setting.durable\n",
        ),
        (
            "telling a snapshot that the disk does not give from a broken one",
            "            except CorruptSnapshotError:\n                there = None\n",
            "            except (CorruptSnapshotError, OSError):\n                there = None\n",
        ),
        ("noticing that a lent list was edited", "            and not state._user_messages.edited\n", ""),
        (
            "a list's waiting for a writer",
            "        with self.log.existing:\n            state = self.read()\n            if state is None:\n                return None\n            if self._adopting",
            "        with self.log.using:\n            state = self.read()\n            if state is None:\n                return None\n            if self._adopting",
        ),
        (
            "the lock of a compaction",
            "        with self.log.existing:\n            if self.log.fd is None or",
            "        with self.log.using:\n            if self.log.fd is None or",
        ),
        (
            "comparing the session that another program's file holds",
            "        if snapshot.session.id != self.session_id:\n            raise",
            "        if False:\n            raise",
        ),
    ),
    *of(
        "journal/history.py",
        (
            "comparing the session that a journal holds",
            "    if not belongs(record, log.session_id):\n",
            "    if False:\n",
        ),
    ),
    *of(
        "journal/chain.py",
        (
            "comparing the chain",
            "                    text != line[at + 10 : at + 53]\n                    or ",
            "                    ",
        ),
        ("comparing the digest", "                    or texts[44:87] != header[-44:-1]\n", ""),
        (
            "comparing the number",
            'header.startswith(b\'{"v":1,"seq":%d,"id":"\' % seq)\n                and line[at + 53',
            'header.startswith(b\'{"v":1,"seq":\')\n                and line[at + 53',
        ),
        (
            "the longest line",
            "                and len(line) <= MAX_LINE_BYTES\n            ):",
            "            ):",
        ),
        (
            "the chain of an erased record",
            '        and base64url(sha256(b"journal/record/1" + previous + header).digest()) == chain\n',
            "",
        ),
    ),
    *of(
        "journal/reader.py",
        (
            "comparing a record's place in its batch",
            "                    if place is None or place != (\n                        (place[0] or -1, version) if expected is None else expected\n                    ):",
            "                    if place is None:",
        ),
        (
            "holding a batch back until it is whole",
            "                    batch.append((at, line))\n",
            "                    yield at, line\n",
        ),
        (
            "the longest batch",
            "                    if held > MAX_BATCH_BYTES:\n",
            "                    if False:\n",
        ),
        (
            "looking for a later batch behind a bad line",
            "                torn = False\n                break\n",
            "                break\n",
        ),
        ("the longest line in memory", "        if len(rest) > MAX_LINE_BYTES:\n", "        if False:\n"),
    ),
    *of(
        "journal/marks.py",
        (
            "the rename of the marks",
            '            self._disk.rename(self._path, f"{self._path}.{uuid.uuid4().hex}")\n',
            "            pass\n",
        ),
        (
            "telling writers that their marks were taken",
            "                    self._disk.overwrite(entry.path, TAKEN)\n",
            "",
        ),
        (
            "waiting until they have seen it",
            "            time.sleep(2 * COUNTS_FOR_SECONDS)\n",
            "            pass\n",
        ),
        (
            "looking whether the marks count",
            "            while not (session_id in self._marked and self._counts()):",
            "            while session_id not in self._marked:",
        ),
        (
            "looking whether the file of marks is there",
            " or self._disk.status_of(self._fd).st_nlink == 0",
            "",
        ),
        (
            "setting a garbled file of marks aside",
            "                if self._disk.read(fd, 1, 0) == LIVE:\n",
            "                if True:\n",
        ),
        (
            "the longest file of marks",
            "            if entry.status.st_size > MAX_BYTES:\n",
            "            if False:\n",
        ),
    ),
    *of(
        "journal/derived.py",
        (
            "looking whether the sessions' folder is a link",
            "                disks.check_folders(disk, layout.base, layout.sessions)\n",
            "",
        ),
        (
            "looking what stands beside the catalog",
            "            check_files(self._disk, self.path)\n",
            "",
        ),
        (
            "not creating what is only looked at",
            "                nothing = disk.status(layout.base) is None\n",
            "",
        ),
        (
            "making a damaged catalog anew",
            "                remove_database(disk, self.path)  # it holds nothing that the journals do not\n",
            "                raise\n",
        ),
        (
            "noticing that the catalog is another file",
            "        return self._inode in (0, self._inode_in_place())\n",
            "        return True\n",
        ),
    ),
    *of(
        "journal/catalog.py",
        (
            "comparing all files once",
            "                not (has_looked and self._file.is_shared and taken.is_all)\n                or ",
            "                ",
        ),
        ("comparing all files when the folder changed", "                or folder_ns != modified_ns\n", ""),
        ("distrusting marks for a moment", "                or not made_ns + _MARKS_GONE_NS < now_ns\n", ""),
        (
            "distrusting a folder's time for a moment",
            "                is_settled = modified_ns < now_ns - _TICK_NS\n",
            "                is_settled = True\n",
        ),
        (
            "leaving the marks to those that may take them",
            "self._marks.take() if self._file.is_shared else Taken(set(), [], True)",
            "self._marks.take()",
        ),
        (
            "forgetting marks only after the commit",
            "                self._read_again(database, stale)\n",
            "                self._marks.forget(taken)\n                self._read_again(database, stale)\n",
        ),
        (
            "forgetting them then",
            "        self._marks.forget(taken)\n",
            "",
        ),
    ),
    *of(
        "journal/commits.py",
        ("the sync of a task's save", "                commit.log.sync()\n", "                pass\n"),
        (
            "waiting in a thread for a session that is held",
            "            with log.at_once:\n",
            "            with log.exclusive:\n",
        ),
        (
            "a session's own copy while it is saved",
            "        self.twin = session.copy() if any(self._edited) else lend(session)\n",
            "        self.twin = session\n",
        ),
        (
            "refusing after the close",
            "            if self._is_closed:\n                raise",
            "            if False:\n                raise",
        ),
    ),
    *of(
        "journal/repair.py",
        (
            "the sync of a mended journal",
            "_mended(log, salvage, before, behind), durable=True)",
            "_mended(log, salvage, before, behind), durable=False)",
        ),
        ("the record of damage that was mended", ", [prepare(Change(event=told, at=utc_now()), by)]]", "]"),
        (
            "moving a wrong snapshot away before it is rebuilt",
            "    kept = _set_aside(setting, handle.session_id, found)\n    fresh",
            "    kept = None\n    fresh",
        ),
        (
            "moving the snapshot of a damaged journal away",
            "    if not found.is_foreign:  # else it is taken in next\n        _set_aside",
            "    if False:\n        _set_aside",
        ),
        (
            "the sync of the quarantine before a snapshot is moved there",
            "    disks.sync_names(disk, folder)  # else a crash could keep the rename and lose the folder\n",
            "",
        ),
        ("the sync of what was moved there", "    disks.sync_names(disk, kept)\n", ""),
        (
            "the sync of where it came from",
            "    disk.sync_folder(os.path.dirname(found.snapshot_path))\n",
            "",
        ),
        (
            "the lock of a repair",
            "        with handle.log.existing:\n            found = examine",
            "        with handle.log.using:\n            handle.log._open(create=False)\n            found = examine",
        ),
    ),
    *of(
        "journal/snapshot.py",
        (
            "telling a disk that gives nothing from a broken snapshot",
            "        raise  # the disk is to blame: the file may be a good one\n",
            "        raise CorruptSnapshotError(path, str(error.strerror)) from error\n",
        ),
        (
            "a snapshot's UTF-8",
            "        if not data.isascii():\n            data.decode()",
            "        if False:\n            data.decode()",
        ),
    ),
    *of(
        "journal/documents.py",
        ("the sync of a document", "[data], durable=self._durable)", "[data], durable=False)"),
        (
            "the sync of a document's removal",
            "path, durable=self._durable) for path",
            "path, durable=False) for path",
        ),
        (
            "looking what stands in the place of a document that goes",
            "                disks.check_file(self._disk, path)\n",
            "                pass\n",
        ),
        (
            "looking whether a document's folder is a link",
            "            disks.check_folders(self._disk, self._layout.base, os.path.dirname(path))\n",
            "            pass\n",
        ),
        (
            "the same for a list of them",
            "            disks.check_folders(self._disk, self._layout.base, folder)\n",
            "",
        ),
        (
            "keeping documents out of the sessions",
            '        if category == SESSIONS or category.startswith(f"{SESSIONS}/"):\n',
            "        if False:\n",
        ),
    ),
    *of(
        "journal/layout.py",
        (
            "checking a session's id",
            "{check_session_id(session_id)}{JOURNAL_ENDING}",
            "{session_id}{JOURNAL_ENDING}",
        ),
        ("checking a category", "check_category(category)", "category"),
        ("checking a document's name", "check_name(name)", "name"),
    ),
    *of(
        "journal/handles.py",
        (
            "refusing a closed store",
            "        if self._is_closed:\n            raise",
            "        if False:\n            raise",
        ),
        (
            "refusing a store that was forked",
            "        if self._fork_generation != disks.fork_generation:\n            raise",
            "        if False:\n            raise",
        ),
        (
            "opening a dead log anew",
            "            if handle is None or handle.log.is_dead:\n",
            "            if handle is None:\n",
        ),
    ),
    *of(
        "journal/fork.py",
        (
            "the lock of what is forked",
            "            locks.enter_context(new.exclusive if log is new else log.existing)\n",
            "            log is new and locks.enter_context(new.exclusive)\n",
        ),
        (
            "one order of the locks of a fork",
            "key=lambda log: log.path):",
            "key=lambda log: log is new):",
        ),
        (
            "the sync of what is forked",
            "            source.sync(anyway=True)\n",
            "            pass\n",
        ),
        (
            "the sync of a fork",
            "lines, durable=True, temporary_of",
            "lines, durable=setting.durable, temporary_of",
        ),
        (
            "naming what a killed fork leaves after its origin",
            ", temporary_of=os.path.basename(source.path))",
            ")",
        ),
        (
            "looking whether the fork's id is taken",
            "            if state.id:\n                raise",
            "            if False:\n                raise",
        ),
        ("the mark before a fork", "            setting.mark(new_id)\n", "            pass\n"),
        (
            "refusing a version that is yet to come",
            "    if version is not None and seq < version:\n        raise",
            "    if False:\n        raise",
        ),
        (
            "copying a record's id to the fork's first",
            "id=origin.record_id or None)",
            "id=None)",
        ),
        (
            "counting what was cut from the last batch",
            "extra=-forked.cut if is_cut else 0)",
            "extra=0)",
        ),
        (
            "telling the batch that was cut from those before it",
            "            is_cut = seq + records_to_come(copied) > forked.version\n",
            "            is_cut = True\n",
        ),
        (
            "counting the first batch's rest",
            "    return _Origin(forked, more - cut if 1 + more >= seq else more, record.id)",
            "    return _Origin(forked, more, record.id)",
        ),
        (
            "telling of copies that lost their content",
            "    erased = _told_elsewhere(source, seq) if has_erased else {}\n",
            "    erased = {}\n",
        ),
        (
            "vouching only for content that the origin says is gone",
            " if each not in there.untold}",
            "}",
        ),
        (
            "keeping a state that the origin begins with",
            "        document=None if is_plain else state.to_document(),\n        erased",
            "        document=None,\n        erased",
        ),
        (
            "making nothing for a fork of nothing",
            "        raise SessionNotFoundError(source.session_id)  # before",
            "        pass  # before",
        ),
        (
            "damage among what is copied",
            "    if isinstance(log.rest, CorruptRecordError):\n        raise log.rest\n",
            "",
        ),
    ),
    *of(
        "journal/erase.py",
        (
            "the lock of an erasure",
            "        with log.existing:\n            if log.fd is not None:\n                _refuse",
            "        with log.using:\n            log._open(create=False)\n            if log.fd is not None:\n                _refuse",
        ),
        (
            "the sync of an erased journal",
            "            log.replace(_rewritten(handle, plan, batch), durable=True)\n",
            "            log.replace(_rewritten(handle, plan, batch), durable=setting.durable)\n",
        ),
        (
            "the sync of what was erased before",
            "                    log.sync(anyway=True)\n",
            "                    pass\n",
        ),
        (
            "forgetting what was erased before",
            "                    forget(setting.disk, setting.layout.search, [session_id])\n                return",
            "                return",
        ),
        (
            "removing the snapshot of an erased session",
            "    for path in (layout.snapshot(handle.session_id), *quarantined, *left):",
            "    for path in (*quarantined, *left):",
        ),
        (
            "removing what is in quarantine of it",
            "    for path in (layout.snapshot(handle.session_id), *quarantined, *left):",
            "    for path in (layout.snapshot(handle.session_id), *left):",
        ),
        (
            "removing what crashed writers left of it",
            "    for path in (layout.snapshot(handle.session_id), *quarantined, *left):",
            "    for path in (layout.snapshot(handle.session_id), *quarantined):",
        ),
        (
            "the sync of what an erasure removes",
            "            disk.sync_folder(folder)\n",
            "            pass\n",
        ),
        (
            "the sync of the quarantine",
            "    for folder in (layout.sessions, layout.quarantine):",
            "    for folder in (layout.sessions,):",
        ),
        (
            "the sync of a removed catalog",
            "        remove_database(disk, layout.catalog, durable=True)\n",
            "        remove_database(disk, layout.catalog)\n",
        ),
        (
            "removing the catalog",
            "        remove_database(disk, layout.catalog, durable=True)\n",
            "        pass\n",
        ),
        (
            "removing before the journal is replaced",
            "            _sweep(setting, handle, quarantined, types)\n            log.replace(_rewritten(handle, plan, batch), durable=True)\n",
            "            log.replace(_rewritten(handle, plan, batch), durable=True)\n            _sweep(setting, handle, quarantined, types)\n",
        ),
        (
            "forgetting the words of an erased session",
            "    forget(disk, layout.search, [handle.session_id])\n",
            "",
        ),
        (
            "forgetting them again when the journal is replaced",
            "            # Again: somebody may have searched in the old journal meanwhile.\n            forget(setting.disk, setting.layout.search, [session_id])\n",
            "",
        ),
        (
            "finding what repeats the content",
            "        if record.seq not in plan.going and plan.content.is_repeated_by(record):\n",
            "        if False:\n",
        ),
        (
            "bringing back what goes with a whole state",
            "[Change(event=event, at=utc_now()), *_restoring(handle, plan, state)]",
            "[Change(event=event, at=utc_now())]",
        ),
        (
            "passing over what is gone already",
            " and not isinstance(record.event, Erased):",
            ":",
        ),
        (
            "refusing what must stay",
            '            raise InvalidEventError(f"{where} cannot be erased: {why}; name others, or delete the session")\n',
            "            pass\n",
        ),
        (
            "comparing the ids in copies",
            "        if only_ids is not None and record.id not in only_ids:\n            continue\n",
            "",
        ),
        (
            "refusing another program's snapshot",
            "    if snapshot is not None and is_foreign(setting.disk, handle.log, snapshot):\n        raise",
            "    if False:\n        raise",
        ),
        (
            "cutting a torn tail before an erasure",
            "                state, _ = handle._begin()\n",
            "                pass\n",
        ),
        (
            "looking whether the quarantine of an erasure is a link",
            "    disks.check_folders(disk, layout.base, layout.quarantine)\n",
            "",
        ),
    ),
    *of(
        "journal/rechain.py",
        (
            "chaining a copy behind the one before it",
            "    chain = chain_behind(previous, header)\n    return header",
            "    chain = rest[:43]\n    return header",
        ),
        (
            "a copy's place in its batch",
            "    header = with_more(header, extra)\n",
            "",
        ),
        (
            "the chain of an erased record",
            "        *(header, _CHAIN, rest[:43]),\n",
            '        *(header, _CHAIN, chain_behind(b"", header)),\n',
        ),
        (
            "a last record that says nothing of a batch",
            '(b\',"more":%d\' % more if more else b"")',
            "b',\"more\":%d' % more",
        ),
    ),
    *of(
        "journal/lineage.py",
        (
            "computing each link of the origin's chain",
            "        if 1 < seq <= forked.version:",
            "        if 2 < seq <= forked.version:",
        ),
        (
            "the cut batch in the origin's chain",
            "forked.cut if is_last else 0)",
            "0)",
        ),
        (
            "comparing the origin's chain",
            "        return self._chain.decode() == self.forked.chain",
            "        return True",
        ),
        (
            "no proof past a repair",
            "        self.is_broken = False",
            "        self.is_broken = True",
        ),
        (
            "forks of forks in a family",
            "            waiting += [*forks.get(each, ()), *([origins[each]] if each in origins else ())]\n",
            "            waiting += forks.get(each, ()) if each == session_id else ()\n",
        ),
        (
            "forks of what was deleted",
            "if relatives & orphans else (relatives | orphans)",
            "if relatives & orphans else relatives",
        ),
        (
            "sessions that a deleted one may have been a fork of",
            "    return set(there) if relatives & orphans else (relatives",
            "    return (relatives",
        ),
        (
            "the origin in a family",
            ", *([origins[each]] if each in origins else ())]",
            "]",
        ),
    ),
    *of(
        "journal/erasures.py",
        (
            "comparing what an erased record was",
            "        if was is None or was == untold.was:",
            "        if True:",
        ),
        (
            "what a fork's first record says of erased copies",
            "                if record.id in self._named_before:\n",
            "                if False:\n",
        ),
    ),
    *of(
        "journal/seal.py",
        (
            "checking a seal's signature",
            "    signers = open_note(note, keys).signers\n",
            "    signers = tuple(key.name for key in keys)\n",
        ),
        (
            "comparing a seal with what its heads say",
            "        if statement.text() != text or statement.rest().encode() != data[len(note) :]:",
            "        if False:",
        ),
        (
            "each session once, in order",
            "    if not heads or ids != sorted(set(ids)):",
            "    if not heads:",
        ),
        (
            "telling an older seal by its time",
            "        if after is not None and self.at <= after:",
            "        if False:",
        ),
        ("telling an older seal by a version", "            if sealed < version:", "            if False:"),
        ("the longest seal", "    if len(data) > MAX_SEAL_BYTES:", "    if False:"),
    ),
    *of(
        "journal/sealing.py",
        ("the sync of what is sealed", "        log.sync(anyway=True)\n", "        pass\n"),
        (
            "sealing only what is whole",
            "    if not report.ok:\n        return report.findings",
            "    if False:\n        return report.findings",
        ),
        (
            "noticing a cut tail",
            "        if report.version < head.version:",
            "        if False:",
        ),
        (
            "comparing the sealed chain",
            "        if self._chain_at(head, report) != head.chain:",
            "        if False:",
        ),
        (
            "noticing a session that is gone",
            "        return status is None or status.st_size == 0",
            "        return False",
        ),
        (
            "comparing the session that a tombstone tells of",
            "    return tombstone.version > head.version or tombstone.chain == head.chain",
            "    return True",
        ),
        (
            "refusing what the seal does not name",
            "        if must_name:\n            return _wrong",
            "        if False:\n            return _wrong",
        ),
    ),
    *of(
        "journal/proof.py",
        (
            "comparing a proof with the seal",
            "    if chain.decode() != head.chain:",
            "    if False:",
        ),
        (
            "refusing a version that is not sealed",
            "    if not 1 <= version <= head.version:",
            "    if version < 1:",
        ),
        (
            "stopping at the sealed version",
            "            if seq == head.version:\n                break\n",
            "",
        ),
        (
            "the chain before the record",
            "            if seq < version:\n                previous = chain\n",
            "            if seq <= version:\n                previous = chain\n            if seq < version:\n                pass\n",
        ),
    ),
    *of(
        "journal/merkle.py",
        (
            "telling a leaf from a node",
            '_LEAF, _NODE = b"\\x00", b"\\x01"',
            '_LEAF, _NODE = b"\\x00", b"\\x00"',
        ),
        (
            "the last of an odd number",
            "        if beside < len(level):  # the last",
            "        if beside <= len(level) - 2:  # the last",
        ),
    ),
    *of(
        "journal/trail.py",
        (
            "looking whether the file is the one that was read",
            "        if log.holds(self._position):\n",
            "        if True:\n",
        ),
        (
            "knowing what was read by its ids",
            "            if self._known is not None and key in self._known:\n                continue\n",
            "",
        ),
        (
            "keeping the ids of what was read",
            "            self._read.append(key)\n",
            "",
        ),
        (
            "distrusting numbers of another session",
            "        if self._proof and not _has(log, self._after, self._proof):\n",
            "        if False:\n",
        ),
        (
            "reading again when the file was replaced meanwhile",
            "        if seen is not None and (now is None or now.inode != seen.inode):\n",
            "        if False:\n",
        ),
        (
            "telling of damage",
            "        if isinstance(log.rest, CorruptRecordError):\n            raise log.rest\n        self.is_behind",
            "        self.is_behind",
        ),
        (
            "looking at a file before it is read, not after",
            "            seen = self._look()\n            if seen == self._seen and not self.is_behind:\n                return found\n            self._seen, self.is_behind = seen, False\n            log.look()\n            if log.size():\n                self._read_on(log, found)\n",
            "            if self._look() == self._seen and not self.is_behind:\n                return found\n            self.is_behind = False\n            log.look()\n            if log.size():\n                self._read_on(log, found)\n            self._seen = self._look()\n",
        ),
    ),
    *of(
        "journal/follow.py",
        (
            "comparing all files now and then",
            "        if names is None or time.monotonic() >= self._compare_at:\n",
            "        if names is None:\n",
        ),
        (
            "what comes later is new",
            "            self._after = 0  # whatever comes from now on is new\n",
            "            pass\n",
        ),
        (
            "looking at once at what has more to read",
            "                if trail.is_behind:\n                    trails.due.append(trail)\n",
            "",
        ),
        (
            "raising what nobody asked to be told",
            "                    if on_error is None:\n                        raise trail.error\n",
            "                    if on_error is None:\n                        continue\n",
        ),
    ),
    *of(
        "journal/search_index.py",
        (
            "dropping the parts that know a session",
            '            database.execute(_DROP % part)\n            database.execute("update part set is_lost = 1',
            '            database.execute("update part set is_lost = 1',
        ),
        (
            "emptying the index's log",
            "            while not wipe_log(database):",
            "            while False:",
        ),
        ("the sync of that", '            _sync(disk, f"{path}-wal")\n', ""),
        (
            "removing an index that does not forget",
            "    except sqlite3.Error:\n        remove_database(disk, path, durable=True)\n",
            "    except sqlite3.Error:\n        pass\n",
        ),
        (
            "the sync of that removal",
            "        remove_database(disk, path, durable=True)\n",
            "        remove_database(disk, path)\n",
        ),
        (
            "refilling a part only with what is wanted still",
            "    wanted = {kept.row for kept in kept_in(database, part)} & texts.keys()\n",
            "    wanted = set(texts)\n",
        ),
    ),
    *of(
        "journal/indexing.py",
        (
            "looking whether a session moved before it is added",
            "            moved = {each for each, (before, head) in self._heads.items() if self._has_moved(before, head)}\n",
            "            moved = set()\n",
        ),
        (
            "looking whether what is indexed still stands there",
            "                return not log.holds(head.position)\n",
            "                return False\n",
        ),
        (
            "dropping sessions that are gone",
            "        self._drop(self._gone() if index.count(self._database) + new != changes.total else set())\n",
            "",
        ),
        ("one process that indexes", "            self._disk.flock(fd, LOCK_EX)\n", ""),
        (
            "emptying the log after a refill",
            "            index.wipe_log(self._database)\n",
            "            pass\n",
        ),
    ),
    *of(
        "journal/store.py",
        (
            "refusing a file system of the network",
            "            refuse_network(disk, layout.base)\n",
            "            pass\n",
        ),
        (
            "bringing the snapshots up to date at the close",
            "                handle.compact()\n",
            "                pass\n",
        ),
        (
            "looking for forks that are made meanwhile",
            "        while copies := {",
            "        for copies in [self._copies_of(session_id, versions)] or {",
        ),
        (
            "warning of a store that was never closed",
            "        if handles is not None and handles.is_leaked():\n",
            "        if False:\n",
        ),
    ),
    *of(
        "journal/record.py",
        (
            "holding what is read to the limits of a writer",
            "            _check_decoded(record.at, event)\n",
            "            pass\n",
        ),
    ),
]

"""The viewer: a server for one store on this machine, and the page that it serves.

docs/reference/viewer.md says what it answers; `journal view` starts it. Only `server`, `routes`, `guard`,
`live` and what they import need the extra `view`; the rest is read by the export, too.
"""

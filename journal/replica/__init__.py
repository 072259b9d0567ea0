"""A replica: a private folder, kept in step with a backend that several machines share.

The engine works on it as on any other folder. What it writes goes to the backend first, and here when the
backend has acknowledged it; what others wrote is taken in when somebody looks. It holds what was looked at,
and may be thrown away at any time.
"""

from journal.replica.disk import Replica

__all__ = ["Replica"]

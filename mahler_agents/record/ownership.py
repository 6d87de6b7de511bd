"""Record: whose record it is: one account in one environment, the first that opens it."""

import sqlite3

from mahler_agents.errors import ConfigError
from mahler_agents.record.durable import DurableBook


class Ownership(DurableBook):
    """Says for one account whether a record is its own."""

    def claim(self, environment: str, *, at: str) -> None:
        """Make the record this account's, in this environment, if it is nobody's yet.

        Raises `ConfigError` if it is another's: what two accounts hold, or what was traded under two sets of rules,
        must never be added up. A record of an older version keeps all the accounts that it has.
        """
        with self._books.transaction() as connection:
            owners = _owners(connection)
            if not owners:
                connection.execute(
                    "INSERT INTO record_owners (account_id, environment, since) VALUES (?, ?, ?)",
                    (self.account_id, environment, at),
                )
            elif (self.account_id, environment) not in owners:
                whose = " and ".join(f"account {account}, {mode} trading" for account, mode in owners)
                raise ConfigError(
                    f"{self._books.path} is the record of {whose}; this desk is account {self.account_id},"
                    f" {environment} trading: name another file with --db or MAHLER_DB"
                )


def _owners(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT account_id, environment FROM record_owners ORDER BY since, 1, 2")
    return [(row["account_id"], row["environment"]) for row in rows]

"""Doctor, keys: where Alpaca's keys are found and of which kind they are; nothing of them but two letters is shown."""

from mahler_agents.alpaca.credentials import BEGINS, KEY_ID
from mahler_agents.doctor.findings import Said, fail, ok, warn
from mahler_agents.doctor.situation import Situation
from mahler_agents.errors import ConfigError


def alpaca_keys(situation: Situation) -> Said:
    """Alpaca's keys: where they are found, of which kind, and whether that is the environment's.

    Warn: the key begins with neither PK nor AK.
    Fail: there are none, half a pair, or those of the other environment.
    """
    try:
        credentials = situation.credentials
    except ConfigError as error:
        return fail(str(error), fix="make a pair in Alpaca's dashboard and keep it in one place: see docs/alpaca.md")
    environment = situation.environment
    try:
        # Made here, in a thread: alpaca-py takes half a second to import.
        _ = situation.alpaca
    except ConfigError as error:
        return fail(
            f"{error} (it is in {credentials.found_in})",
            fix=f"put the {environment} account's keys into {credentials.found_in}, or change the environment",
        )
    begins = BEGINS[environment]
    if not credentials.key_id.startswith(begins):
        return warn(
            f"{KEY_ID} in {credentials.found_in} begins with neither PK nor AK: it may be no key of Alpaca's",
            fix=f"compare it with the dashboard's: a key for {environment} trading begins with {begins}",
        )
    return ok(f"{begins}... (set in {credentials.found_in}): a key for {environment} trading, as the environment is")

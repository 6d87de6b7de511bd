"""Errors: one tree, one type per distinct reaction of the caller.

MahlerError
├── InputError      the user can mend it: one line that names what, where and what to do (exit code 2)
│   ├── ConfigError     a setting, a variable or a prompt file
│   └── UnknownIdError  no such run or candidate in the record
├── JobError        the job failed for a reason outside the user's input (exit code 1)
│   ├── RecordError     the database could not be read or written
│   ├── MarketError     market data could not be had
│   └── BrokerError     the broker refused or could not be reached
└── HaltedError     the desk is halted (exit code 3)
"""


class MahlerError(Exception):
    """Base of all errors that Mahler Agents raises on purpose; its text is one line for the user."""

    exit_code = 1


class InputError(MahlerError):
    """Bad input: the message names what, where and what to do."""

    exit_code = 2


class ConfigError(InputError):
    """A setting, an environment variable or a prompt file cannot be used."""


class UnknownIdError(InputError):
    """An id that the record does not hold, or a prefix that fits several."""


class JobError(MahlerError):
    """The job failed for a reason that is not the user's input."""


class RecordError(JobError):
    """The record's database could not be opened, read or written."""


class MarketError(JobError):
    """Market data could not be had."""


class BrokerError(JobError):
    """The broker refused a request or could not be reached."""


class HaltedError(MahlerError):
    """The desk is halted: nothing new is opened."""

    exit_code = 3

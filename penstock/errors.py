"""Errors of the command line."""


class UserError(Exception):
    """Something that the user can put right: one sentence with what, where and what to do."""

    exit_code = 2

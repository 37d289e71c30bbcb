"""Filters for table queries, so that a value is never pasted into one by hand.

Source: "Querying tables and entities", filter syntax.
"""

from datetime import datetime

from shared.storage.entities import Value, render_time


def literal(value: Value) -> str:
    """Write a value as it stands in a filter."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, datetime):
        return f"datetime'{render_time(value)}'"
    return repr(float(value))


def equal(name: str, value: Value) -> str:
    """Match rows whose property `name` is `value`."""
    return f"{name} eq {literal(value)}"


def less(name: str, value: Value) -> str:
    """Match rows whose property `name` is less than `value`."""
    return f"{name} lt {literal(value)}"


def greater_or_equal(name: str, value: Value) -> str:
    """Match rows whose property `name` is `value` or more."""
    return f"{name} ge {literal(value)}"


def greater(name: str, value: Value) -> str:
    """Match rows whose property `name` is more than `value`."""
    return f"{name} gt {literal(value)}"


def less_or_equal(name: str, value: Value) -> str:
    """Match rows whose property `name` is `value` or less."""
    return f"{name} le {literal(value)}"


def both(*conditions: str) -> str:
    """Match rows that meet all conditions."""
    return " and ".join(f"({condition})" if " or " in condition else condition for condition in conditions)


def either(*conditions: str) -> str:
    """Match rows that meet at least one condition."""
    return " or ".join(f"({condition})" for condition in conditions)


def within(partition: str) -> str:
    """Match all rows of a partition."""
    return equal("PartitionKey", partition)


def between(partition: str, row_from: str, row_to: str) -> str:
    """Match the rows of a partition from `row_from` up to, and without, `row_to`."""
    return both(within(partition), greater_or_equal("RowKey", row_from), less("RowKey", row_to))


def after(partition: str, row: str) -> str:
    """Match the rows of a partition that come behind `row`."""
    return both(within(partition), greater("RowKey", row))


def starting(partition: str, prefix: str) -> str:
    """Match the rows of a partition whose keys begin with `prefix`, which must not be empty."""
    return between(partition, prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))

"""The names of the failures that this server can play."""

from enum import StrEnum


class Misbehaviour(StrEnum):
    """The names, as they stand in a model's name and in MODEL_MISBEHAVE."""

    SLOW = "slow"
    STALL = "stall"
    CUT = "cut"
    ERROR_LINE = "error-line"
    NO_DONE = "no-done"
    LENGTH = "length"
    EMPTY = "empty"
    NOT_FOUND = "404"
    CRASH = "500"
    BAD_OPTION = "bad-option-500"
    BUSY_THEN_WELL = "503-then-well"
    ECHO = "echo"
    PREAMBLE = "preamble"
    FIXED_LATENCY = "fixed-latency"
    SLOW_WORDS = "slow-words"
    LOOP = "loop"
    LOOP_THEN_STOP = "loop-then-stop"
    SHORT = "short"
    LONG = "long"
    PLACEHOLDERS = "placeholders"
    PLACEHOLDERS_THEN_WELL = "placeholders-then-well"
    THINK = "think"
    NOTE = "note"
    QUOTES = "quotes"

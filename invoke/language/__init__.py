"""The language of lines: split, parse, resolve, render, complete, help. Everything here follows from the table."""

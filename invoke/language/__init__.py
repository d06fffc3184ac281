"""The language of lines: split, parse, resolve, render, suggest, help. Everything here is a function of the table."""

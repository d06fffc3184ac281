"""The shell: a prompt that is there at once, with history, completion and commands. Only here is prompt_toolkit known.

`start.run(session)` talks with the person at the terminal until they leave; `watched` is for one line at a terminal.
"""

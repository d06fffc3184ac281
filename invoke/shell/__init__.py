"""The shell: a prompt that is there at once, with history, completion and commands. Only here is prompt_toolkit known.

`app.run(session)` runs the prompt until the user leaves.
"""

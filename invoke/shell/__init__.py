"""The shell: a prompt with history, completion and commands that opens at once. Only this package uses prompt_toolkit.

`app.run(session)` runs the prompt until the user leaves.
"""

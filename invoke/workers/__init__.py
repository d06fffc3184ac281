"""Several engines under one writer: a batch's pictures are handed to lanes as they become free.

A lane is an engine somewhere. One process plans, numbers and saves; it alone writes.

| module | |
| --- | --- |
| `task` | a picture with all that is needed to make its files, and the making of them beside the model |
| `line_run` | a line that is carried out: its pictures' names, and what is saved of them |
| `files` | the files that a request reads, sent along as bytes |
"""

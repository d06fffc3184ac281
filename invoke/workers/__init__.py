"""Several engines under one writer: a batch's pictures are handed to lanes as they become free.

A lane is an engine, on this machine or elsewhere. Only the main process plans, numbers and saves.

| module | |
| --- | --- |
| `task` | a picture with all that is needed to make its files, and the making of them beside the model |
| `line_run` | a line that is carried out: its pictures' names, and what is saved of them |
| `messages` | what lanes are asked and answer |
| `scheduler` | the queue, attempts and deadlines; knows neither processes nor Ray |
| `pool` | open lines, in the order of their file |
| `host` | what runs beside an engine: renders, adds metadata, encodes |
| `processes` | lanes that are processes of this machine (`--workers`) |
| `ray_cluster` | lanes that are Ray actors (`--ray`); only here is Ray imported |
| `files` | the files that a request reads, sent along as bytes |
| `shard` | a part of a file, for job arrays (`--shard`) |
"""

"""What is measured, with the machine it was measured on: `python -m benchmarks [PART …]`, without a part all of it."""

import sys

from benchmarks import completion, intermediates, machine, pictures, planning, startup

PARTS = {part.__name__.rpartition(".")[2]: part for part in (startup, completion, planning, pictures, intermediates)}

print(machine.describe())
for name in sys.argv[1:] or PARTS:
    print()
    PARTS[name].main()

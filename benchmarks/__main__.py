"""Everything that is measured, with the machine it was measured on."""

from benchmarks import completion, machine, pictures, planning, startup

print(machine.describe())
for part in (startup, completion, planning, pictures):
    print()
    part.main()

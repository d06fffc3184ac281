"""Everything that is measured, with the machine it was measured on."""

from benchmarks import machine, pictures, planning, startup

print(machine.describe())
for part in (startup, planning, pictures):
    print()
    part.main()

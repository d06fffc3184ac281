"""What is measured, against what: `make bench`, `make bench-quick`. README.md beside this says how."""

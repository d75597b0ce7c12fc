"""The limits of the child process that reads a workbook."""

from __future__ import annotations

from models.manifest.rows import MAX_ROWS

MIB = 1024 * 1024
MAX_MEMORY_BYTES = 768 * MIB
"""Of the address space, of which a list of 100,000 rows uses a third."""
MAX_CPU_SECONDS = 60
TIMEOUT_SECONDS = 180.0
"""The CPU time may take longer on a busy machine."""
MAX_OUTPUT_BYTES = 256 * MIB
"""Of the rows as JSON: eight times the size of the largest manifest."""
MAX_ENTRIES = 10_000
"""Files in the archive; a workbook with hundreds of sheets and pictures has fewer."""
MAX_EXPANDED_BYTES = 400 * MIB
"""Of all files together. The sheet of a list of 100,000 rows has about 50 MiB."""
MAX_PART_BYTES = 16 * MIB
"""Of a part that is read as a whole, for example the list of an archive's files."""
MAX_SHEET_ROWS = 2 * MAX_ROWS
"""Rows up to the last one with a value, with room for blank ones."""
MAX_CELLS = 5_000_000
"""Cells between the first and the last one, each of which takes 32 bytes."""

"""Names what a file is that is not an MP4 or MOV video."""

"""Parsers of MP4 and MOV files (ISO/IEC 14496-12): boxes, fragments and timing.

They read bytes that are already in memory or fetched by the file they get.
"""

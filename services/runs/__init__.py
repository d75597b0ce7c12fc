"""Prefect's flow runs: listed, resumed after a suspension, and given an outcome if they lost their process."""

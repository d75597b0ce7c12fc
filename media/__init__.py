"""Remote recordings, in the order of their way from a URL to the rules that they break.

remote/ fetches bytes over HTTPS; kinds/ names files that are not videos; mp4/ reads the tables of a
video; ffmpeg/ decodes its first frame in child processes. facts/ joins these. The entry points are
probe, checker and manifest_loader.
Imports models/ only; never clients/, store/, the layers above them, or Prefect.
"""

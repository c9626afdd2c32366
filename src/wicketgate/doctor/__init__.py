"""What is likely to bite in the configuration around the gate: documents in, findings out.

Pure: files, sockets, clocks and the environment belong to `wicketgate.tools.doctor`. A
check is one small function that yields a `Fault` for each mistake of its kind; what a
kind means, how bad it is and who says so is in `catalogue`.
"""

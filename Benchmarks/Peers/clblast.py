#!/usr/bin/env python3
"""Times the matrix products of `keel bench` in CLBlast.

    python3 Benchmarks/Peers/clblast.py [--device N] [--filter TEXT] [--json FILE]

Needs libclblast (Debian and Ubuntu: the package libclblast1) and pyopencl.
"""

import argparse
import ctypes
import sys

import numpy
import pyopencl

import cases

ROW_MAJOR, PLAIN, TRANSPOSED = 101, 111, 112


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=int, default=0, help="number among all devices")
    parser.add_argument("--filter", default="")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    try:
        library = ctypes.CDLL("libclblast.so.1")
    except OSError:
        sys.exit("libclblast.so.1 is not here: install the package libclblast1")
    devices = [device for platform in pyopencl.get_platforms() for device in platform.get_devices()]
    context = pyopencl.Context([devices[arguments.device]])
    queue = pyopencl.CommandQueue(context)
    report = cases.Report("CLBlast 1", arguments.filter, queue.finish)

    def buffer(count):
        values = numpy.random.default_rng(1).standard_normal(count, dtype=numpy.float32)
        flags = pyopencl.mem_flags.READ_WRITE | pyopencl.mem_flags.COPY_HOST_PTR
        return pyopencl.Buffer(context, flags, hostbuf=values)

    for name, (rows, inner, columns, left, right) in cases.MATMULS.items():
        if not report.wants(f"matmul/{name}"):
            continue
        a, b, c = buffer(rows * inner), buffer(inner * columns), buffer(rows * columns)
        handle = ctypes.c_void_p(queue.int_ptr)

        def run():
            status = library.CLBlastSgemm(
                ROW_MAJOR, TRANSPOSED if left else PLAIN, TRANSPOSED if right else PLAIN,
                *(ctypes.c_size_t(extent) for extent in (rows, columns, inner)),
                ctypes.c_float(1), ctypes.c_void_p(a.int_ptr), ctypes.c_size_t(0),
                ctypes.c_size_t(rows if left else inner), ctypes.c_void_p(b.int_ptr),
                ctypes.c_size_t(0), ctypes.c_size_t(inner if right else columns),
                ctypes.c_float(0), ctypes.c_void_p(c.int_ptr), ctypes.c_size_t(0),
                ctypes.c_size_t(columns), ctypes.byref(handle), None)
            if status:
                sys.exit(f"CLBlast failed with status {status}")

        report.time(f"matmul/{name}", run, 2 * rows * inner * columns)
    report.write(arguments.json)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times the cases of `keel bench` in PyTorch, on its CPU or CUDA device, for side-by-side ratios.

    python3 Benchmarks/Peers/pytorch.py [--device cpu|cuda] [--filter TEXT] [--json FILE]

Prints one line per case: milliseconds (median of the runs after a warm-up) and GFLOP/s. On the CPU
it uses channels_last, PyTorch's faster layout; start it with glibc told to keep its memory:

    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=268435456
"""

import argparse
import json
import os
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def median_milliseconds(step, device, seconds=1.0):
    """Median wall time of `step` over `seconds`, the device's queue drained after each run."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(3):
        step()
    wait()
    times = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times) < 5:
        begin = time.perf_counter()
        step()
        wait()
        times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def matmul_cases(device):
    for rows, inner, columns in [
        (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048),
        (64, 784, 128), (128, 5408, 128), (128, 128, 10),
    ]:
        a = torch.randn(rows, inner, device=device)
        b = torch.randn(inner, columns, device=device)
        flops = 2 * rows * inner * columns
        yield f"matmul/{rows}x{inner}x{columns}", lambda a=a, b=b: a @ b, flops


def convolution_cases(device):
    shapes = {
        "3x3_64_64_56_batch32": (32, 64, 64, 56, 3, 1, 1),
        "3x3_1_32_28_batch64": (64, 1, 32, 28, 3, 1, 0),
        "3x3_s2_128_128_28_batch16": (16, 128, 128, 28, 3, 2, 1),
        "1x1_256_64_28_batch16": (16, 256, 64, 28, 1, 1, 0),
    }
    for name, (batch, inputs, outputs, size, kernel, stride, padding) in shapes.items():
        layout = {"memory_format": torch.channels_last}
        x = torch.randn(batch, inputs, size, size, device=device).to(**layout)
        w = torch.randn(outputs, inputs, kernel, kernel, device=device).to(**layout)
        y = F.conv2d(x, w, stride=stride, padding=padding)
        dy = torch.randn_like(y).to(**layout)
        flops = 2 * y.numel() * inputs * kernel * kernel
        options = dict(stride=[stride] * 2, padding=[padding] * 2, dilation=[1, 1],
                       transposed=False, output_padding=[0, 0], groups=1)

        def backward(mask, dy=dy, x=x, w=w, options=options):
            return torch.ops.aten.convolution_backward(
                dy, x, w, None, **options, output_mask=mask)

        yield (f"convolution2d/{name}",
               lambda x=x, w=w, s=stride, p=padding: F.conv2d(x, w, stride=s, padding=p), flops)
        yield (f"convolution2d/{name}/input_gradient",
               lambda run=backward: run([True, False, False]), flops)
        yield (f"convolution2d/{name}/filter_gradient",
               lambda run=backward: run([False, True, False]), flops)


def step_cases(device):
    """The digits network: one training step with global-norm clipping and Adam."""
    for batch in (32, 128, 512):
        torch.manual_seed(1)
        network = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(5408, 128), nn.ReLU(), nn.Linear(128, 10),
        ).to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        x = torch.rand(batch, 1, 28, 28, device=device).to(memory_format=torch.channels_last)
        labels = torch.randint(0, 10, (batch,), device=device)

        def step(network=network, optimizer=optimizer, x=x, labels=labels):
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(x), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

        yield f"step/digits_batch{batch}", step, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--filter", default="")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    device = torch.device(arguments.device)

    results = {}
    for cases in (matmul_cases, convolution_cases, step_cases):
        for name, step, flops in cases(device):
            if arguments.filter not in name:
                continue
            milliseconds = median_milliseconds(step, device)
            rate = "" if flops is None else f"{flops / milliseconds / 1e6:9.1f} GFLOP/s"
            print(f"{name:58} {milliseconds:9.3f} ms {rate}", flush=True)
            results[name] = milliseconds
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"peer": f"PyTorch {torch.__version__}", "milliseconds": results}, file,
                      indent=2)


if __name__ == "__main__":
    main()

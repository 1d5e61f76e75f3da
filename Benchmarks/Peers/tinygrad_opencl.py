#!/usr/bin/env python3
"""Times the cases of `keel bench` in tinygrad on its OpenCL device.

    python3 Benchmarks/Peers/tinygrad_opencl.py [--filter TEXT] [--json FILE]

Each case is captured by TinyJit, as tinygrad's own trainings do it; gradients are those of a sum
with random weights, so nothing of the other direction is computed.
"""

import argparse
import os
from importlib import metadata

os.environ.setdefault("DEV", "CL")

from tinygrad import Context, Device, Tensor, TinyJit, nn  # noqa: E402

import cases  # noqa: E402


def randn(*shape):
    return Tensor.randn(*shape).realize()


def matmuls(report):
    for name, (rows, inner, columns, left, right) in cases.MATMULS.items():
        if not report.wants(f"matmul/{name}"):
            continue
        a = randn(*((inner, rows) if left else (rows, inner)))
        b = randn(*((columns, inner) if right else (inner, columns)))
        run = TinyJit(lambda: ((a.T if left else a) @ (b.T if right else b)).realize())
        report.time(f"matmul/{name}", run, 2 * rows * inner * columns)


def convolutions(report):
    for name, (batch, side, inputs, outputs, taps, stride, pad) in cases.CONVOLUTIONS.items():
        name = f"convolution2d/{name}"
        if not any(report.wants(name + d) for d in ("", "_input_gradient", "_filter_gradient")):
            continue
        x = randn(batch, inputs, side, side)
        w = randn(outputs, inputs, taps, taps)
        forward = TinyJit(lambda: x.conv2d(w, stride=stride, padding=pad).realize())
        y = forward()
        dy = randn(*y.shape)
        flops = 2 * y.numel() * inputs * taps * taps

        def gradient(of):
            y = x.conv2d(w, stride=stride, padding=pad)
            return (y * dy).sum().gradient(of)[0].realize()

        report.time(name, forward, flops)
        report.time(f"{name}_input_gradient", TinyJit(lambda: gradient(x)), flops)
        report.time(f"{name}_filter_gradient", TinyJit(lambda: gradient(w)), flops)


class Digits:
    def __init__(self, norm):
        self.convolution = nn.Conv2d(1, 32, 3, bias=not norm)
        self.norm = nn.BatchNorm(32) if norm else None
        self.hidden, self.last = nn.Linear(5408, 128), nn.Linear(128, 10)

    def __call__(self, x):
        x = self.convolution(x)
        x = self.norm(x) if self.norm else x
        return self.last(self.hidden(x.relu().max_pool2d(2).flatten(1)).relu())


def steps(report):
    for batch in cases.DIGITS_BATCHES:
        for name, norm in (("", False), ("_norm", True)):
            name = f"step/digits{name}_batch{batch}"
            if not report.wants(name):
                continue
            network = Digits(norm)
            parameters = nn.state.get_parameters(network)
            optimizer = nn.optim.Adam(parameters, lr=1e-3)
            x, labels = Tensor.rand(batch, 1, 28, 28).realize(), Tensor.randint(batch, high=10)

            @TinyJit
            @Context(TRAINING=1)
            def step():
                optimizer.zero_grad()
                loss = network(x).sparse_categorical_crossentropy(labels).backward()
                squares = [p.grad.square().sum() for p in optimizer.params]
                scale = (1 / Tensor.stack(*squares).sum().sqrt()).minimum(1)
                for p in optimizer.params:
                    p.grad = p.grad * scale
                return loss.realize(*optimizer.schedule_step())

            report.time(name, step, examples=batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--filter", default="")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    report = cases.Report(
        f"tinygrad {metadata.version('tinygrad')} OpenCL",
        arguments.filter, Device[Device.DEFAULT].synchronize)
    for part in (matmuls, convolutions, steps):
        part(report)
    report.write(arguments.json)


if __name__ == "__main__":
    main()

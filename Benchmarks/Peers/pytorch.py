#!/usr/bin/env python3
"""Times the cases of `keel bench` in PyTorch, on its CPU or CUDA device.

    python3 Benchmarks/Peers/pytorch.py [--form best|default] [--device cpu|cuda] [--filter TEXT]
                                        [--json FILE]

`best` is PyTorch's faster form: channels_last, fused Adam, and on the CPU glibc told to keep its
memory (the script starts itself again for that). `default` is as installed.
"""

import argparse
import os
import sys

# What glibc must know before the process starts: memory goes back to the system at no step.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--form", default="best", choices=["best", "default"])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--filter", default="")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json")
    return parser.parse_args()


ARGUMENTS = parse()
if ARGUMENTS.form == "best" and ARGUMENTS.device == "cpu" and "MALLOC_TOP_PAD_" not in os.environ:
    os.execve(sys.executable, [sys.executable] + sys.argv, {**os.environ, **KEEP_MEMORY})

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import cases  # noqa: E402

DEVICE = torch.device(ARGUMENTS.device)
IS_BEST = ARGUMENTS.form == "best"


def laid_out(x):
    """Images and filters in PyTorch's faster layout, where asked for."""
    return x.to(memory_format=torch.channels_last) if IS_BEST and x.dim() == 4 else x


def matmuls(report):
    for name, (rows, inner, columns, left, right) in cases.MATMULS.items():
        if not report.wants(f"matmul/{name}"):
            continue
        a = torch.randn((inner, rows) if left else (rows, inner), device=DEVICE)
        b = torch.randn((columns, inner) if right else (inner, columns), device=DEVICE)
        a, b = (a.T if left else a), (b.T if right else b)
        report.time(f"matmul/{name}", lambda: a @ b, 2 * rows * inner * columns)


def convolutions(report):
    for name, (batch, side, inputs, outputs, taps, stride, pad) in cases.CONVOLUTIONS.items():
        name = f"convolution2d/{name}"
        if not any(report.wants(name + d) for d in ("", "_input_gradient", "_filter_gradient")):
            continue
        x = laid_out(torch.randn(batch, inputs, side, side, device=DEVICE))
        w = laid_out(torch.randn(outputs, inputs, taps, taps, device=DEVICE))
        y = F.conv2d(x, w, stride=stride, padding=pad)
        dy = laid_out(torch.randn_like(y))
        flops = 2 * y.numel() * inputs * taps * taps

        def backward(mask):
            return torch.ops.aten.convolution_backward(
                dy, x, w, None, stride=[stride] * 2, padding=[pad] * 2, dilation=[1, 1],
                transposed=False, output_padding=[0, 0], groups=1, output_mask=mask)

        report.time(name, lambda: F.conv2d(x, w, stride=stride, padding=pad), flops)
        report.time(f"{name}_input_gradient", lambda: backward([True, False, False]), flops)
        report.time(f"{name}_filter_gradient", lambda: backward([False, True, False]), flops)


def batch_norm(report):
    rows, height, width, channels = cases.BATCH_NORM
    shape = f"{rows}x{height}x{width}x{channels}"
    if not report.wants("batch_normalization/"):
        return
    x = laid_out(torch.randn(rows, channels, height, width, device=DEVICE))
    dy = laid_out(torch.randn_like(x))
    layer = nn.BatchNorm2d(channels).to(DEVICE)
    x.requires_grad_(True)
    report.time(f"batch_normalization/training_{shape}", lambda: layer(x))
    y = layer(x)
    report.time(
        f"batch_normalization/gradient_{shape}",
        lambda: torch.autograd.grad(y, [x, layer.weight, layer.bias], dy, retain_graph=True))


def optimizers(report):
    for name, (count, tensors) in cases.OPTIMIZERS.items():
        if not report.wants(f"optimizer_step/{name}"):
            continue
        parameters = [
            nn.Parameter(torch.randn(count // tensors, device=DEVICE)) for _ in range(tensors)]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=IS_BEST or None)

        def step():
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

        report.time(f"optimizer_step/{name}", step)


def digits(norm):
    head = [nn.Conv2d(1, 32, 3, bias=not norm)] + ([nn.BatchNorm2d(32)] if norm else [])
    return nn.Sequential(
        *head, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(5408, 128), nn.ReLU(),
        nn.Linear(128, 10))


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.join = nn.Sequential() if stride == 1 and inputs == outputs else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.path(x) + self.join(x))


def resnet18():
    blocks, inputs = [], 64
    for outputs, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
        blocks += [Residual(inputs, outputs, stride), Residual(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class DenseLayer(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth), nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.path(x)], 1)


def densenet(depth=40, growth=12):
    channels = 2 * growth
    layers = [nn.Conv2d(3, channels, 3, padding=1, bias=False)]
    for block in range(3):
        for _ in range((depth - 4) // 6):
            layers.append(DenseLayer(channels, growth))
            channels += growth
        if block < 2:
            layers += [nn.BatchNorm2d(channels), nn.ReLU(),
                       nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(
        *layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(channels, 10))


class Recurrent(nn.Module):
    """Rows of an image as steps of an LSTM of 128 units."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 128, batch_first=True)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.lstm(x.reshape(len(x), 28, 28))[0][:, -1])


def peak_bytes(step, held):
    """The most memory that tensors take during a step, `held` being those that are there before.

    What oneDNN and cuDNN allocate for themselves is not counted on the CPU.
    """
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
        return torch.cuda.max_memory_allocated()
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        step()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    level = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        level += event.nbytes()
        most = max(most, level)
    return most + sum(tensor.nbytes for tensor in held)


def steps(report):
    """Whole training steps with global-norm clipping and Adam."""
    networks = [(f"digits{name}_batch{batch}", lambda norm=norm: digits(norm), (1, 28, 28), batch)
                for batch in cases.DIGITS_BATCHES for name, norm in (("", False), ("_norm", True))]
    networks += [("lstm128_batch128", Recurrent, (1, 28, 28), 128),
                 ("densenet_batch32", densenet, (3, 32, 32), 32),
                 ("resnet18_batch64", resnet18, (3, 32, 32), 64)]
    for name, build, shape, batch in networks:
        if not report.wants(f"step/{name}"):
            continue
        torch.manual_seed(1)
        network = build().to(DEVICE)
        if IS_BEST:
            network = network.to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=IS_BEST or None)
        x = laid_out(torch.rand(batch, *shape, device=DEVICE))
        labels = torch.randint(0, 10, (batch,), device=DEVICE)

        def step():
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(x), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

        report.time(f"step/{name}", step, examples=batch)
        held = [*network.parameters(), *network.buffers(), x, labels]
        for state in optimizer.state.values():
            held += [value for value in state.values() if torch.is_tensor(value)]
        optimizer.zero_grad(set_to_none=True)
        report.peak(f"step/{name}", peak_bytes(step, held))


def main():
    torch.set_num_threads(ARGUMENTS.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    wait = torch.cuda.synchronize if DEVICE.type == "cuda" else (lambda: None)
    form = "" if IS_BEST else ", as installed"
    report = cases.Report(f"PyTorch {torch.__version__} {DEVICE}{form}", ARGUMENTS.filter, wait)
    for part in (matmuls, convolutions, batch_norm, optimizers, steps):
        part(report)
    report.write(ARGUMENTS.json)


if __name__ == "__main__":
    main()
